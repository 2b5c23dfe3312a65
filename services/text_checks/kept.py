"""What a rewrite must not lose: whom the draft told the person to turn to, and what it told them to do to be safe.

The same finding serves twice: the Therapist is told to keep these sentences, the gate refuses a rewrite without them.
"""

import re
from collections.abc import Mapping
from typing import Final

from services.text_checks.content import content_words

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"')\u201d])\s+|\n+")
_CLAUSE_END: Final = re.compile(r"[.!?](?=\s|$)|[;:\n]|,(?!\d)|\bbut\b", re.IGNORECASE)
_AMOUNT: Final = r"(?:24|7)/7|\d+(?::\d| ?(?:%|percent\b|h\b|hours?\b|days?\b|times?\b|[ap]\.?m\b))"
_DIGIT_GROUP: Final = rf"(?:\((?:\d{{2,}}|0)\)|(?!{_AMOUNT}|\d\))\d++)"
"""Digits that belong to a number: neither hours nor the `2)` of a list."""
_CONTACT: Final = re.compile(
    rf"(?<![\w$€£])(?<!\d[.,])\+?{_DIGIT_GROUP}(?:(?:[.\u2011-]|[ \u00a0]{{0,2}}){_DIGIT_GROUP})*"
)
_NO_CONTACT: Final = re.compile(r"(?:19|20)\d\d(?:\D(?:19|20)?\d\d)?|(?!9\D8\D8$)\d(?:\D\d)+")
"""A year, a span of years, or a count such as 5-4-3-2-1."""
_DIGITS: Final = re.compile(r"\d+")
_DENIAL: Final = re.compile(
    r"\bno (?:need|point|reason)\b|\b(?:instead of|rather than|unnecessary)\b|\bwithout\b(?! (?:delay|waiting))|"
    r"(?:\bnot|n't|\bnever) (?:really )?(?:need(?:ed)?|have to)\b(?! (?:to )?(?:be|feel|have|wait)\b)|"
    r"\bneedn't\b(?! (?:be|feel|have|wait)\b)|"
    r"(?:(?<!why )\bnot|n't|\bnever) (?:call|ring|text|phone|go|drive|bother|use|necessary)\b",
    re.IGNORECASE,
)
"""Says of what stands in the same clause that it is not needed, or not to be done."""

_RESOURCES: Final[Mapping[str, re.Pattern[str]]] = {
    "crisis_line": re.compile(
        r"\b(?:crisis|suicide|help|support|emergency|text|prevention|domestic \w+)[ -]?(?:text[ -])?(?:line|"
        r"hotline|helpline|"
        r"lifeline)s?\b|\b(?:hotline|helpline|(?-i:Lifeline)|samaritans|telefonseelsorge|1800respect|"
        r"kids help phone|childline|findahelpline)\b|"
        r"(?<!\d)(?<!\d[.,-])(?:988|9-8-8|116 ?123|13 ?11 ?14|741 ?741|(?:1[ .-])?800[ .-]273[ .-]8255)(?![.,-]?\d)",
        re.IGNORECASE,
    ),
    "emergency_services": re.compile(
        r"\bemergency (?:services?|number|room|department|care)\b|\b(?:ambulance|paramedics)\b"
        r"|(?<!\d)(?<!\d[.,-])(?:911|999|112|000)(?![.,-]?\d)"
        r"|\b(?:nearest|local) (?:hospital|er|a&e|emergency)\b|\bA&E\b|\bthe ER\b"
        r"|\b(?:go|get|drive|come|take (?:him|her|them)) (?:straight |right )?to (?:the |a )?hospital\b",
        re.IGNORECASE,
    ),
}
_NOT_TO: Final = r"\b(?:don't|do not|never|avoid|should not|shouldn't|must not|mustn't|not to)"
_INSTRUCTIONS: Final[Mapping[str, re.Pattern[str]]] = {
    "remove_means": re.compile(
        r"\b(?:put|give|lock|move|hand|throw|keep|get|step)\b[^.!?]{0,50}\b(?:pills?|tablets?|medication|gun|"
        r"guns|weapons?"
        r"|knife|knives|blades?|rope|(?:the|your|any) means(?! (?:that|to)\b)|firearms?|"
        r"anything you (?:could|might|planned))\b[^.!?]{0,40}",
        re.IGNORECASE,
    ),
    "not_alone": re.compile(
        r"\b(?:don't|do not) (?:be|stay) alone|\b(?:stay|be|sit) with (?:someone|somebody|a friend)\b|"
        r"(?<!you )(?<!to )(?<!not )(?<!n't )\b(?:stay|sit) with (?:them|him|her)\b|"
        r"\b(?:ask|have|get|let|who|which|someone|somebody|anyone)\b[^.!?]{0,40}\b(?:stay|be|sit) with you\b|"
        r"\b(?:someone|somebody) (?:to )?(?:(?:stay|come|sit)\b|be (?:with you|near you|there)\b)|"
        r"\b(?:don't|do not) leave (?:them|him|her) alone",
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
        rf"(?:{_NOT_TO}) (?:\w+ ){{0,2}}(?:stop|stopping|quit|quitting|skip|skipping|change|changing)\b[^.!?]{{0,50}}"
        r"\b(?:medications?|medicines?|meds|pills?|tablets?|dos(?:e|es|age)|taking|antidepressants?|insulin|lithium|"
        r"treatment|prescription|cold turkey|suddenly|abruptly|overnight|all at once|on your own)\b[^.!?]{0,60}|"
        r"\b(?:don't|do not) just stop\b[^.!?]{0,60}|"
        rf"(?:{_NOT_TO}) (?:\w+ ){{0,2}}take more (?:than|of|pills|tablets|medication)\b[^.!?]{{0,60}}|"
        rf"(?<!you )(?<!they )(?<!we )(?<!i )(?:{_NOT_TO}) (?:\w+ )?(?:mix|mixing|drive|driving|drink|drinking)\b"
        r"[^.!?]{0,60}",
        re.IGNORECASE,
    ),
    "not_the_answer": re.compile(
        r"\b(?:suicide|(?:ending|taking) your (?:own )?life|ending it all|killing yourself|dying) "
        r"(?:is not|isn't|is never|will not|won't|doesn't have to)\b[^.!?]{0,60}",
        re.IGNORECASE,
    ),
    "get_safe": re.compile(
        r"\b(?:get|go|move|leave for|find|reach)\b[^.!?:\n]{0,30} (?:somewhere|someplace|a) safe\b"
        r"(?! place to (?:talk|share|cry))|\bsafe place (?:to (?:go|stay)|(?:that )?you can go)\b|\bsafety plan\b|"
        r"\b(?:women's|family|violence|abuse|homeless|emergency|crisis) shelters?\b|"
        r"\b(?:go|get|move) to (?:a|the) shelter\b|\bfind (?:a )?shelter\b",
        re.IGNORECASE,
    ),
}


def says_it(text: str, to_say: str, resources: str = "") -> bool:
    """Return whether a text tells a person in danger what they must hear: it names crisis help, or says most of it.

    Help is named by its kind, or by a number that `resources` holds: the crisis resources of the person's region, as
    text. To say of help that it is not needed is not to name it.
    """
    numbers = contacts(resources)
    clauses = (part for part in _CLAUSE_END.split(_plain(text)) if not _DENIAL.search(part))
    if any(contacts(clause) & numbers or _holds(clause, _RESOURCES) for clause in clauses):
        return True
    asked = content_words(to_say)
    return len(asked & content_words(text)) > len(asked) / 2


def lost_resources(draft: str, rewrite: str) -> bool:
    """Return whether a contact or a kind of crisis help that the draft names is missing from the rewrite."""
    return bool(contacts(draft) - contacts(rewrite)) or _lost(draft, rewrite, _RESOURCES)


def lost_instruction(draft: str, rewrite: str) -> bool:
    """Return whether a safety instruction that the draft gives is missing from the rewrite."""
    return _lost(draft, rewrite, _INSTRUCTIONS)


def to_keep(draft: str) -> tuple[str, ...]:
    """Return the draft's sentences that hold contacts, crisis resources or safety instructions, as they stand."""
    sentences = (part.strip() for part in _SENTENCE_END.split(draft))
    return tuple(
        part for part in sentences if contacts(part) or _holds(part, _RESOURCES) or _holds(part, _INSTRUCTIONS)
    )


def contacts(text: str) -> frozenset[str]:
    """Return the phone and text numbers in a text, as bare digits (three or more); years and hours are none."""
    found = (match.group() for match in _CONTACT.finditer(text))
    numbers = ("".join(_DIGITS.findall(number)) for number in found if not _NO_CONTACT.fullmatch(number))
    return frozenset(digits for digits in numbers if len(digits) >= 3)


def _holds(text: str, kinds: Mapping[str, re.Pattern[str]]) -> bool:
    return any(kind.search(_plain(text)) for kind in kinds.values())


def _lost(draft: str, rewrite: str, kinds: Mapping[str, re.Pattern[str]]) -> bool:
    had, has = _plain(draft), _plain(rewrite)
    return any(kind.search(had) and not kind.search(has) for kind in kinds.values())


def _plain(text: str) -> str:
    return text.replace("\u2019", "'")
