"""The deterministic crisis screen: does the person's own text speak of danger? Does a reply say what no reply may say?

Works on the text alone, so it holds when judge and model are down. A match of the lexicon counts unless something in
its sentence takes it back: a negation tied to it, a clear past, a story or topic, a death long mourned. Said of
somebody else it becomes `concern_for_other`. In doubt it flags: a needless phone number costs less than a missing one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent_service.crisis.lexicon import Category, Lexicon, Pattern, normalise
from services.contracts.conversation import Turn

_SENTENCE_END: Final = re.compile(r"[.!?\n\u3002\uff01\uff1f]+")
_CLAUSE_START: Final = re.compile(
    r'[,;:()"]|\b(?:but|and|yet|because|so|although|though|however|pero|mais|aber|mas|ma)\b'
)
_MASK: Final = "\u2022"


@dataclass(frozen=True, slots=True)
class Finding:
    """One match that stood: its meaning and the pattern that found it. Holds no text."""

    category: Category
    pattern_id: str


class CrisisScreen:
    """Screens what a person wrote, and what a reply says."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    @property
    def digest(self) -> str:
        """Digest of the lexicon, for cache keys."""
        return self._lexicon.source_digest

    def of_person(self, turns: Iterable[Turn]) -> tuple[Finding, ...]:
        """Return what the person's own turns say, each category once, in the order of `Category`."""
        found = [finding for turn in turns if turn.role == "user" for finding in self.of_text(turn.content)]
        first = {finding.category: finding for finding in reversed(found)}
        return tuple(first[category] for category in Category if category in first)

    def of_text(self, text: str) -> tuple[Finding, ...]:
        """Return every finding of one text of the person."""
        return tuple(finding for sentence in self._sentences(text) for finding in self._of_sentence(sentence))

    def is_dangerous_reply(self, reply: str) -> bool:
        """Return whether a reply says what no reply may say (urging self-harm, stopping medication, secrecy)."""
        return any(
            not self._negated(sentence, match.start())
            for sentence in self._sentences(reply)
            for match in self._lexicon.dangerous_reply.finditer(sentence)
        )

    def _sentences(self, text: str) -> Sequence[str]:
        unidiomatic = self._lexicon.idioms.sub(_MASK, normalise(text))
        return [part.strip() for part in _SENTENCE_END.split(unidiomatic) if part.strip()]

    def _of_sentence(self, sentence: str) -> Iterable[Finding]:
        for pattern in self._lexicon.pattern:
            for match in pattern.any.finditer(sentence):
                category = self._meaning(pattern, sentence, match.start())
                if category is not None:
                    yield Finding(category, pattern.id)
                    break

    def _meaning(self, pattern: Pattern, sentence: str, start: int) -> Category | None:
        """Return the category of a match, or None when the sentence takes it back."""
        if pattern.negatable and self._negated(sentence, start):
            return None
        if pattern.past and self._is_past(sentence):
            return None
        cues = self._lexicon.cues
        about_other = pattern.about == "other" or (pattern.about != "self" and self._other_is_nearest(sentence, start))
        told = sentence if about_other else self._since_first_person(sentence, start)
        if pattern.about != "self" and cues.fiction.search(told):
            return None
        if not about_other:
            return pattern.category
        if cues.completed.search(sentence):
            return None
        return pattern.category if pattern.about == "either" else Category.CONCERN_FOR_OTHER

    def _negated(self, sentence: str, start: int) -> bool:
        """Return whether a negation stands before `start` in its clause, with nothing but link words in between."""
        boundaries = [boundary.end() for boundary in _CLAUSE_START.finditer(sentence, 0, start)]
        clause = sentence[boundaries[-1] if boundaries else 0 : start]
        for cue in reversed(list(self._lexicon.cues.negation.finditer(clause))):
            if self._lexicon.cues.doubt.search(clause, 0, cue.end()):
                return False
            between = clause[cue.end() :].split()
            if all(self._lexicon.cues.link.fullmatch(word) for word in between):
                return True
        return False

    def _is_past(self, sentence: str) -> bool:
        cues = self._lexicon.cues
        if cues.recovered.search(sentence):
            return True
        return bool(cues.past.search(sentence)) and not cues.present.search(sentence)

    def _other_is_nearest(self, sentence: str, start: int) -> bool:
        before = _outside_quotation(sentence[:start])
        return _last(self._lexicon.cues.other_person, before) > _last(self._lexicon.cues.first_person, before)

    def _since_first_person(self, sentence: str, start: int) -> str:
        """Return what stands between the last first person and the match: where a story or topic would be named."""
        since = _last(self._lexicon.cues.first_person, sentence[:start])
        return sentence if since < 0 else sentence[since:start]


def _outside_quotation(before: str) -> str:
    """Return what stands before the quotation that is still open at the end of `before`: it names the speaker."""
    return before[: before.rindex('"')] if before.count('"') % 2 else before


def _last(pattern: re.Pattern[str], text: str) -> int:
    """Return where the last match ends, -1 when there is none."""
    return max((match.end() for match in pattern.finditer(text)), default=-1)
