"""What a person in danger must hear is found where it is said, in whatever words, and missed where it is not."""

import pytest

from services.text_checks.kept import says_it

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
        ("Es ist wichtig, dass du auf dich achtest.", SAGEN),
        ("", TO_SAY),
    ],
)
def test_what_passes_the_danger_by_is_not(text: str, to_say: str) -> None:
    assert not says_it(text, to_say)
