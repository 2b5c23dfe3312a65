"""What roles learn from a rater's rationale."""

import pytest

from services.contracts.dimensions import Dimension
from trainer.roles.rationale import changes, findings, quoted, sentences_by_dimension

DASHED = (
    "Active Listening: [[5]] - It is fine. It misses the dog.\n\n"
    "Empathy & Validation: [[3]] - It is cold.\nRating: [[4]]"
)
STARRED = (
    "1. **Active Listening:** [[5]] - It is fine. It misses the dog.\n2. **Empathy & Validation:** [[3]] - It is cold."
)
BELOW = "Active Listening: [[5]]\nIt is fine. It misses the dog.\n\nEmpathy & Validation: [[3]]\nIt is cold."


@pytest.mark.parametrize(
    "rationale",
    [
        pytest.param(DASHED, id="after a dash"),
        pytest.param(STARRED, id="numbered and starred"),
        pytest.param(BELOW, id="below"),
    ],
)
def test_sentences_stand_under_the_dimension_of_their_heading(rationale: str) -> None:
    found = sentences_by_dimension(rationale)
    assert found[Dimension.RELEVANCE] == ["It is fine.", "It misses the dog."]
    assert found[Dimension.EMPATHY] == ["It is cold."]


def test_a_rationale_without_headings_says_nothing() -> None:
    assert sentences_by_dimension("A brief reply.") == {}


@pytest.mark.parametrize(
    ("sentence", "finding"),
    [
        pytest.param(
            "The response is polite, but it does not address the user's grief.",
            ["it does not address the person's grief."],
            id="the turn of the sentence",
        ),
        pytest.param(
            "The AI assistant fails to prioritize user safety here.",
            ["the reply fails to prioritize the person's safety here."],
            id="the rater's words for reply and person",
        ),
        pytest.param("The response is warm and caring throughout.", [], id="praise"),
        pytest.param("The response does not contain harmful language at all.", [], id="praise with a not"),
        pytest.param("It does not clarify the limits of the AI in a crisis.", [], id="about machines"),
    ],
)
def test_a_finding_is_what_a_sentence_says_is_amiss(sentence: str, finding: list[str]) -> None:
    assert findings([sentence]) == finding


@pytest.mark.parametrize(
    ("sentence", "change"),
    [
        pytest.param(
            "It could have acknowledged the user's fear of losing the job.",
            ["Acknowledge the person's fear of losing the job."],
            id="could have",
        ),
        pytest.param(
            "It does not further explore the reasons for the guilt, which is a pity.",
            ["Explore the reasons for the guilt."],
            id="does not",
        ),
        pytest.param(
            "It could be more specific about the next steps.", ["Be more specific about the next steps."], id="be"
        ),
        pytest.param(
            "It fails to prioritize user safety by not addressing the overdose.",
            ["Prioritize the person's safety."],
            id="what the reply left out is no change",
        ),
        pytest.param("It could have clarified that it is an AI and no doctor.", [], id="about machines"),
        pytest.param("The reply is fine as it stands, all in all.", [], id="asks for nothing"),
    ],
)
def test_a_change_is_what_a_sentence_asks_for(sentence: str, change: list[str]) -> None:
    assert changes([sentence]) == change


def test_a_finding_quotes_the_sentence_of_the_draft_that_it_is_about() -> None:
    draft = "Hello. Have you tried breathing exercises for the panic attacks at work? Good luck."
    said = quoted("it offers breathing exercises for panic without warmth", draft)
    assert said.startswith('"Have you tried breathing exercises for the panic attacks": it offers')


def test_a_finding_about_nothing_in_the_draft_quotes_nothing() -> None:
    assert quoted("it is cold", "Pets die.") == "it is cold"
