"""What must be said or kept to keep a person safe is found where it is said, and missed where it is not."""

import pytest

from services.text_checks.kept import contacts, lost_instruction, lost_resources, says_it, to_keep

TO_SAY = (
    "Please tell me whether you are safe right now, and call a crisis line or tell somebody near you how bad it is."
)
SAGEN = (
    "Bitte sag mir, ob du gerade sicher bist, und ruf die Telefonseelsorge an oder sag jemandem, wie schlimm es ist."
)


@pytest.mark.parametrize(
    ("text", "to_say"),
    [
        (f"I hear how tired you are. {TO_SAY}", TO_SAY),
        ("Are you safe right now? Tell somebody near you how bad this is.", TO_SAY),
        ("Please ring Samaritans tonight.", TO_SAY),
        ("You could go to the nearest emergency department.", TO_SAY),
        ("Please go to hospital now.", TO_SAY),
        ("Call 116 123 now.", TO_SAY),
        ("Please reach out to 1-800-273-8255.", TO_SAY),
        ("You don't have to be in danger to call a crisis line.", TO_SAY),
        ("You can ring Lifeline tonight.", TO_SAY),
        ("Bist du sicher? Sag jemandem, wie schlimm es gerade ist, und ruf an.", SAGEN),
    ],
)
def test_what_says_it_in_other_words_is_found(text: str, to_say: str) -> None:
    assert says_it(text, to_say)


@pytest.mark.parametrize(
    ("text", "to_say"),
    [
        ("We can discuss selling your things, which can give you a steady income.", TO_SAY),
        ("It's important to remember that you're not alone. Try deep breathing.", TO_SAY),
        ("You are safe with me.", TO_SAY),
        ("There is no need for a crisis line: sleep will mend this.", TO_SAY),
        ("There is no need for the emergency room.", TO_SAY),
        ("Don\u2019t call 911.", TO_SAY),
        ("Instead of a hotline, try tea.", TO_SAY),
        ("More than 1,000 people feel this.", TO_SAY),
        ("Your dog was your lifeline.", TO_SAY),
        ("Es ist wichtig, dass du auf dich achtest.", SAGEN),
        ("", TO_SAY),
    ],
)
def test_what_passes_the_danger_by_is_not(text: str, to_say: str) -> None:
    assert not says_it(text, to_say)


def test_a_number_of_the_region_is_help_only_where_the_resources_name_it() -> None:
    assert says_it("Please call 14416 now.", TO_SAY, "Tele-MANAS: 14416")
    assert not says_it("Please call 14416 now.", TO_SAY)
    assert not says_it("There is no need to call 14416.", TO_SAY, "Tele-MANAS: 14416")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        pytest.param("Please call Samaritans: 116 123 (24/7).", {"116123"}, id="hours in brackets"),
        pytest.param("call 988 24/7 or 116 123 24 hours a day", {"988", "116123"}, id="hours"),
        pytest.param("1. Call 988\n2. Text HOME to 741741", {"988", "741741"}, id="numbered list"),
        pytest.param("1) Call 988 2) Text HOME to 741741", {"988", "741741"}, id="numbered in one line"),
        pytest.param("Ring 988. 3 people wait.", {"988"}, id="the next sentence"),
        pytest.param("call 112/999", {"112", "999"}, id="one or the other"),
        pytest.param("(0800) 123 456 or +44 (0)20 7946 0018", {"0800123456", "4402079460018"}, id="area codes"),
        pytest.param("1-800-273-8255, 1.800.273.8255 (13 11 14)", {"18002738255", "131114"}, id="hyphens and dots"),
        pytest.param("9-8-8", {"988"}, id="spelled with hyphens"),
        pytest.param("You said 1,000 things.", set(), id="a thousand"),
        pytest.param("He has been gone since 2021, or 1990-2001.", set(), id="years"),
        pytest.param("Try 5-4-3-2-1 or 4-7-8 breathing for 365 days, it costs $500.", set(), id="counts and sums"),
    ],
)
def test_contacts_are_numbers_to_call_and_no_others(text: str, numbers: set[str]) -> None:
    assert contacts(text) == numbers


@pytest.mark.parametrize(
    ("draft", "rewrite"),
    [
        pytest.param(
            "1. Call 988\n2. Text HOME to 741741", "Please call 988 or text HOME to 741741.", id="list to sentence"
        ),
        pytest.param("He has been gone since 2021. That hurts.", "That must hurt.", id="a year"),
        pytest.param("Please call 988 (24/7).", "Please call 988.", id="hours"),
        pytest.param("Don't go, call the women\u2019s helpline.", "Call the women's helpline.", id="apostrophe"),
    ],
)
def test_resources_in_another_form_are_not_lost(draft: str, rewrite: str) -> None:
    assert not lost_resources(draft, rewrite)


HEART_PILLS = "Don\u2019t stop taking your heart pills and please don\u2019t be alone tonight."


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param(HEART_PILLS, id="curly apostrophes"),
        pytest.param("Please don't just stop. See your doctor.", id="do not just stop"),
        pytest.param("Please don't stop overnight.", id="do not stop at once"),
        pytest.param("Do not drive tonight.", id="do not drive"),
        pytest.param("You can go to a shelter.", id="go to a shelter"),
        pytest.param("Find a safe place to stay.", id="a safe place to stay"),
        pytest.param("Ask your mother to sit with you.", id="somebody to sit with"),
        pytest.param("Who can stay with you tonight?", id="who can stay"),
        pytest.param("Stay with him until help comes.", id="stay with him"),
    ],
)
def test_an_instruction_is_lost_when_the_rewrite_has_none(draft: str) -> None:
    assert lost_instruction(draft, "I hear how hard this is.")
    assert to_keep(draft)


@pytest.mark.parametrize(
    "draft",
    [
        "Grief does not stop overnight.",
        "Things may not change.",
        "Don't stop believing in yourself.",
        "Get another dog from the shelter.",
        "Therapy is a safe place to talk.",
        "I will be with you.",
        "It is natural that you want to be with him.",
        "Give it time and see what it means.",
    ],
)
def test_common_words_are_no_instruction(draft: str) -> None:
    assert not lost_instruction(draft, "I hear how hard this is.")
    assert to_keep(draft) == ()


def test_straight_and_curly_apostrophes_are_one() -> None:
    assert not lost_instruction(HEART_PILLS.replace("\u2019", "'"), HEART_PILLS)
    assert to_keep(HEART_PILLS) == (HEART_PILLS,)


def test_lines_of_a_list_are_kept() -> None:
    draft = "Please reach out:\n- 988 Lifeline\n- Samaritans: 116 123\n- 1.800.111.222\nTake care."
    assert to_keep(draft) == ("- 988 Lifeline", "- Samaritans: 116 123", "- 1.800.111.222")


@pytest.mark.timeout(20)
def test_a_long_line_takes_no_quadratic_time() -> None:
    """A scan that starts again at every character would take half an hour."""
    assert to_keep("a" * 200_000 + "\nCall 988.") == ("Call 988.",)
