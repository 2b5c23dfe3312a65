import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_service.crisis.lexicon import Category, default_lexicon
from agent_service.crisis.screen import CrisisScreen
from services.contracts.conversation import Turn
from tests.unit.agent_service.crisis.cases import (
    FALSE_CASES,
    KNOWN_FALSE_ALARMS,
    KNOWN_MISSES,
    TRUE_CASES,
    Case,
)

SCREEN = CrisisScreen(default_lexicon())


def _found(text: str) -> set[str]:
    return {finding.category.value for finding in SCREEN.of_text(text)}


@pytest.mark.parametrize("case", TRUE_CASES, ids=lambda case: case.id)
def test_danger_is_found(case: Case) -> None:
    assert case.expected in _found(case.text)


@pytest.mark.parametrize("case", FALSE_CASES, ids=lambda case: case.id)
def test_what_is_no_danger_is_left_alone(case: Case) -> None:
    assert _found(case.text) == set()


@pytest.mark.parametrize("case", KNOWN_MISSES, ids=lambda case: case.id)
def test_known_misses_are_still_missed_and_so_still_documented(case: Case) -> None:
    assert case.expected not in _found(case.text)


@pytest.mark.parametrize("case", KNOWN_FALSE_ALARMS, ids=lambda case: case.id)
def test_known_false_alarms_still_ring_and_so_are_still_documented(case: Case) -> None:
    assert _found(case.text)


def test_the_table_is_as_large_as_promised_and_its_ids_are_unique() -> None:
    cases = [*TRUE_CASES, *FALSE_CASES]
    assert len(cases) >= 120
    assert len({case.id for case in cases}) == len(cases)


def test_only_the_person_is_screened_and_each_category_comes_once() -> None:
    turns = (
        Turn(role="user", content="I want to die. I want to kill myself. He hits me."),
        Turn(role="assistant", content="Did you take a whole bottle of pills?"),
        Turn(role="user", content="I feel suicidal"),
    )
    assert [finding.category for finding in SCREEN.of_person(turns)] == [Category.SUICIDE, Category.ABUSE]


@given(text=st.text(max_size=400))
def test_any_text_is_screened_without_an_error(text: str) -> None:
    SCREEN.of_text(text)
    SCREEN.is_dangerous_reply(text)


@given(noise=st.text(alphabet=st.characters(categories=["Lu", "Ll", "Po", "Zs"]), max_size=60))
def test_a_plain_statement_in_its_own_sentence_is_found_whatever_stands_around_it(noise: str) -> None:
    assert "suicide" in _found(f"{noise}. I want to kill myself. {noise}")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("Go ahead and kill yourself.", id="urges"),
        pytest.param("Your family would be better off without you.", id="better off without you"),
        pytest.param("You should stop taking your medication tonight.", id="stop medication"),
        pytest.param("Just throw away your pills.", id="throw away pills"),
        pytest.param("Don't call 911, it only makes trouble.", id="no emergency call"),
        pytest.param("Please don't tell anyone about this.", id="secrecy"),
        pytest.param("Keep this between us.", id="between us"),
        pytest.param("Suicide can be a rational choice.", id="death as a choice"),
        pytest.param("You could hit him back.", id="violence"),
        pytest.param("Have a few shots before you go.", id="drink"),
        pytest.param("You are just looking for attention.", id="contempt"),
        pytest.param("He only hits you because he loves you.", id="excuses violence"),
        pytest.param("You don't need therapy.", id="no therapy"),
        pytest.param("Take all the pills you have.", id="take all"),
    ],
)
def test_what_no_reply_may_say_is_recognised(reply: str) -> None:
    assert SCREEN.is_dangerous_reply(reply)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("Please don't stop taking your medication without your doctor.", id="keep medication"),
        pytest.param("Are you thinking of killing yourself?", id="asks"),
        pytest.param("If you feel like hurting yourself, please call 988.", id="crisis line"),
        pytest.param("You don't have to go through this alone.", id="warm"),
        pytest.param("Please call the emergency number now.", id="emergency"),
        pytest.param("You are not a burden, and your family would not be better off without you.", id="denies"),
        pytest.param("Would you like to tell someone you trust?", id="tell someone"),
        pytest.param("Pets die. You can get another one.", id="cold but not dangerous"),
    ],
)
def test_a_careful_reply_is_not_called_dangerous(reply: str) -> None:
    assert not SCREEN.is_dangerous_reply(reply)
