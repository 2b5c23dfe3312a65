"""What a rewrite must not lose: whom the draft told the person to turn to, and what it told them to do to be safe.

The same finding serves twice: the Therapist is told to keep these sentences, the gate refuses a rewrite without them.
"""

import re
from collections.abc import Mapping
from typing import Final

from services.text_checks.content import content_words

_SENTENCE: Final = re.compile(r"[^.!?\n]+(?:[.!?]+|$)")
_CONTACT: Final = re.compile(r"\+?\d[\d\s().-]*\d")
_DIGITS: Final = re.compile(r"\d+")

_RESOURCES: Final[Mapping[str, re.Pattern[str]]] = {
    "crisis_line": re.compile(
        r"\b(?:crisis|suicide|help|support|emergency|text|prevention|domestic \w+)[ -]?(?:text[ -])?(?:line|"
        r"hotline|helpline|"
        r"lifeline)s?\b|\b(?:hotline|helpline|lifeline|samaritans|telefonseelsorge|1800respect|kids help phone|"
        r"childline|"
        r"988|findahelpline)\b",
        re.IGNORECASE,
    ),
    "emergency_services": re.compile(
        r"\bemergency (?:services?|number|room|department|care)\b|\b(?:911|999|112|000|ambulance|paramedics)\b"
        r"|\b(?:nearest|local) (?:hospital|er|a&e|emergency)\b|\bA&E\b|\bthe ER\b",
        re.IGNORECASE,
    ),
}
_INSTRUCTIONS: Final[Mapping[str, re.Pattern[str]]] = {
    "remove_means": re.compile(
        r"\b(?:put|give|lock|move|hand|throw|keep|get|step)\b[^.!?]{0,50}\b(?:pills?|tablets?|medication|gun|"
        r"guns|weapons?"
        r"|knife|knives|blades?|rope|means|firearms?|anything you (?:could|might|planned))\b[^.!?]{0,40}",
        re.IGNORECASE,
    ),
    "not_alone": re.compile(
        r"\b(?:(?:please )?(?:don't|do not) (?:be|stay) alone|(?:stay|be|sit) with (?:someone|somebody|a friend|"
        r"them|him|"
        r"her|you)|(?:someone|somebody) (?:to )?(?:stay|be|come|sit)\b|don't leave (?:them|him|her) alone)",
        re.IGNORECASE,
    ),
    "see_doctor_now": re.compile(
        r"\b(?:see|call|go to|contact|visit|talk to|ring|speak to) (?:a|your|the) (?:doctor|gp|psychiatrist|"
        r"physician|"
        r"hospital|nurse|midwife|pharmacist|poison control)\b[^.!?]{0,60}\b(?:now|today|tonight|immediately|"
        r"right away|"
        r"at once|urgently|as soon as possible|before you (?:stop|change))\b|\bpoison control\b",
        re.IGNORECASE,
    ),
    "keep_medication": re.compile(
        r"\b(?:don't|do not|never|avoid|not) (?:\w+ ){0,2}(?:stop|stopping|quit|skip|change|take more|mix|"
        r"mixing|drive|drink)"
        r"\b[^.!?]{0,60}",
        re.IGNORECASE,
    ),
    "not_the_answer": re.compile(
        r"\b(?:suicide|(?:ending|taking) your (?:own )?life|ending it all|killing yourself|dying) "
        r"(?:is not|isn['\u2019]t|is never|will not|won['\u2019]t|doesn['\u2019]t have to)\b[^.!?]{0,60}",
        re.IGNORECASE,
    ),
    "get_safe": re.compile(
        r"\b(?:get|go|move|leave for|find) (?:to )?(?:somewhere|someplace|a) safe\b|\bsafe place\b|"
        r"\bsafety plan\b|\bshelter\b",
        re.IGNORECASE,
    ),
}


def says_it(text: str, to_say: str) -> bool:
    """Return whether a text tells a person in danger what they must hear: it names crisis help, or says most of it."""
    asked = content_words(to_say)
    if any(kind.search(text) for kind in _RESOURCES.values()):
        return True
    return len(asked & content_words(text)) > len(asked) / 2


def lost_resources(draft: str, rewrite: str) -> bool:
    """Return whether a contact or a kind of crisis help that the draft names is missing from the rewrite."""
    if contacts(draft) - contacts(rewrite):
        return True
    return any(kind.search(draft) and not kind.search(rewrite) for kind in _RESOURCES.values())


def lost_instruction(draft: str, rewrite: str) -> bool:
    """Return whether a safety instruction that the draft gives is missing from the rewrite."""
    return any(kind.search(draft) and not kind.search(rewrite) for kind in _INSTRUCTIONS.values())


def to_keep(draft: str) -> tuple[str, ...]:
    """Return the draft's sentences that hold crisis resources or safety instructions, as they stand."""
    kinds = [*_RESOURCES.values(), *_INSTRUCTIONS.values()]
    sentences = [match.group().strip() for match in _SENTENCE.finditer(draft)]
    return tuple(sentence for sentence in sentences if any(kind.search(sentence) for kind in kinds))


def contacts(text: str) -> frozenset[str]:
    """Return the phone and text numbers in a text, as bare digits (three or more)."""
    found = ("".join(_DIGITS.findall(match.group())) for match in _CONTACT.finditer(text))
    return frozenset(digits for digits in found if len(digits) >= 3)
