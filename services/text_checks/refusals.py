"""Every deterministic refusal of a rewrite, tried in one order: the first that holds is the reason in the trace."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.text_checks import artefacts, kept
from services.text_checks.content import content_words
from services.text_checks.language import foreign_share, language_of, script_of

_FOREIGN_SHARE: Final = 0.2
"""Above this share of letters in another script a rewrite is not in the person's."""
_ROUND_HUNDRED: Final = re.compile(r"[1-9]00")


class TextRefusal(StrEnum):
    """Why a rewrite is kept out before any judge sees it."""

    DANGEROUS = "dangerous"
    CRISIS_RESOURCES_LOST = "crisis_resources_lost"
    SAFETY_INSTRUCTION_LOST = "safety_instruction_lost"
    JUDGE_DIRECTED = "judge_directed"
    MODEL_ARTEFACT = "model_artefact"
    PLACEHOLDER = "placeholder"
    CLAIMS_HUMAN = "claims_human"
    DIAGNOSIS = "diagnosis"
    MEDICATION_DOSE = "medication_dose"
    INVENTED_MEDICATION = "invented_medication"
    LINK = "link"
    INVENTED_CONTACT = "invented_contact"
    INVENTED_NAME = "invented_name"
    REPEATED_LOOP = "repeated_loop"
    OTHER_LANGUAGE = "other_language"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    CUT_OFF = "cut_off"
    OFF_TOPIC = "off_topic"


@dataclass(frozen=True, slots=True)
class LengthLimits:
    """How long a rewrite may be, in characters.

    Attributes:
        max_ratio: times the draft's length; applies only above `always_allowed`.
        always_allowed: up to here any rewrite may go, so that a curt draft can be answered properly.
        min_ratio: times the draft's length, but never asking for more than `always_enough`.
        always_enough: from here on no rewrite is too short.
        at_least: below this any rewrite is too short.
    """

    max_ratio: float
    always_allowed: int
    min_ratio: float
    always_enough: int
    at_least: int


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One rewrite with what it is held against.

    Attributes:
        person: all that the person wrote. latest: their latest message. draft: what came in. rewrite: the candidate.
        to_keep: whose safety instructions must not be lost: the draft, or nothing of an unsafe one.
        resources: the crisis resources of the person's region, as text.
    """

    person: str
    latest: str
    draft: str
    rewrite: str
    to_keep: str
    resources: str = ""

    @property
    def known(self) -> str:
        """Everything that was said or configured: repeating it is not inventing it."""
        return f"{self.person}\n{self.draft}\n{self.resources}"


class TextChecks:
    """Holds rewrites against every rule."""

    def __init__(self, is_dangerous: Callable[[str], bool], limits: LengthLimits) -> None:
        """Take who says whether a text is what no reply may say, and the lengths that are allowed."""
        self._limits = limits
        self._rules: tuple[tuple[TextRefusal, Callable[[Rewriting], bool]], ...] = (
            (TextRefusal.DANGEROUS, lambda case: is_dangerous(case.rewrite)),
            (TextRefusal.CRISIS_RESOURCES_LOST, lambda case: kept.lost_resources(case.draft, case.rewrite)),
            (TextRefusal.SAFETY_INSTRUCTION_LOST, lambda case: kept.lost_instruction(case.to_keep, case.rewrite)),
            (TextRefusal.JUDGE_DIRECTED, lambda case: artefacts.speaks_to_judge(case.rewrite, case.person)),
            (TextRefusal.MODEL_ARTEFACT, lambda case: artefacts.has_model_artefact(case.rewrite)),
            (TextRefusal.PLACEHOLDER, lambda case: artefacts.has_placeholder(case.rewrite)),
            (TextRefusal.CLAIMS_HUMAN, lambda case: artefacts.claims_to_be_human(case.rewrite)),
            (TextRefusal.DIAGNOSIS, lambda case: artefacts.diagnoses(case.rewrite, case.person)),
            (TextRefusal.MEDICATION_DOSE, lambda case: artefacts.doses(case.rewrite, case.person)),
            (TextRefusal.INVENTED_MEDICATION, lambda case: artefacts.invents_medication(case.rewrite, case.known)),
            (TextRefusal.LINK, lambda case: artefacts.invents_link(case.rewrite, case.known)),
            (TextRefusal.INVENTED_CONTACT, _invents_contact),
            (TextRefusal.INVENTED_NAME, _invents_name),
            (TextRefusal.REPEATED_LOOP, lambda case: artefacts.loops(case.rewrite)),
            (TextRefusal.OTHER_LANGUAGE, _in_other_language),
            (TextRefusal.TOO_LONG, self._too_long),
            (TextRefusal.TOO_SHORT, self._too_short),
            (TextRefusal.CUT_OFF, lambda case: artefacts.breaks_off(case.rewrite)),
            (TextRefusal.OFF_TOPIC, _off_topic),
        )

    def refusal(self, case: Rewriting) -> TextRefusal | None:
        """Return the first reason to refuse the rewrite, or None."""
        return next((reason for reason, broken in self._rules if broken(case)), None)

    def _too_long(self, case: Rewriting) -> bool:
        return len(case.rewrite) > max(self._limits.always_allowed, self._limits.max_ratio * len(case.draft))

    def _too_short(self, case: Rewriting) -> bool:
        asked = min(self._limits.always_enough, self._limits.min_ratio * len(case.draft))
        return len(case.rewrite) < max(self._limits.at_least, asked)


def _invents_contact(case: Rewriting) -> bool:
    invented = kept.contacts(case.rewrite) - kept.contacts(case.known)
    # Ages, sums and scores are numbers too; three digits that are no round hundred, and more than four, are a contact.
    return any((len(digits) == 3 and not _ROUND_HUNDRED.match(digits)) or len(digits) > 4 for digits in invented)


def _invents_name(case: Rewriting) -> bool:
    return artefacts.invents_name(case.rewrite, case.known, english=language_of(case.rewrite) in ("en", None))


def _in_other_language(case: Rewriting) -> bool:
    """Hold the rewrite against the person's script and language; the draft stands in where theirs cannot be told."""
    script = script_of(case.latest) or script_of(case.person) or script_of(case.draft)
    if script and foreign_share(case.rewrite, script) > _FOREIGN_SHARE:
        return True
    expected = language_of(case.latest) or language_of(case.person) or language_of(case.draft)
    written = language_of(case.rewrite)
    return expected is not None and written is not None and written != expected


def _off_topic(case: Rewriting) -> bool:
    """Refuse only what shares no content word with the person while the draft shared one.

    Conservative: rephrasing well without repeating a word is possible, and relevance is the judge's to score.
    """
    asked = content_words(case.person)
    return bool(asked & content_words(case.draft)) and not asked & content_words(case.rewrite)
