"""The deterministic crisis screen: does the person's own text speak of danger? Does a reply say what no reply may say?

Works on the text alone, so it holds when judge and model are down. A match of the lexicon counts unless something
takes it back: a negation tied to it, a clear past in its clause, a story or topic, a death long mourned. Said of
somebody else it becomes `concern_for_other`. In doubt it flags: a needless phone number costs less than a missing one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent_service.crisis.lexicon import Category, Lexicon, Pattern, normalise
from agent_service.crisis.passage import Passage
from services.contracts.conversation import Turn

_SENTENCE_END: Final = re.compile(r"[.!?\n\u3002\uff01\uff1f]+")
_MASK: Final = "\u2022"
_URGE_WORDS: Final = 5
_DATE_EXTRA_CHARS: Final = 25
_AND: Final = r"(?:and|or)\b"
_AND_THAT: Final = r"(?:and|or|but) that\b"
_WORD: Final = re.compile(r"\w+")
_SUBJECT: Final = re.compile(r"\b(?:you|i|we|he|she|they|who)\b")


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
        """Return whether a reply states or urges what no reply may (self-harm, stopping medication, secrecy)."""
        return any(self._is_dangerous(sentence) for sentence in self._sentences(reply))

    def _sentences(self, text: str) -> Sequence[str]:
        unidiomatic = self._lexicon.idioms.sub(_MASK, normalise(text))
        return [part.strip() for part in _SENTENCE_END.split(unidiomatic) if part.strip()]

    def _of_sentence(self, sentence: str) -> Iterable[Finding]:
        for pattern in self._lexicon.pattern:
            for match in pattern.any.finditer(sentence):
                category = self._meaning(pattern, Passage.around(sentence, match))
                if category is not None:
                    yield Finding(category, pattern.id)
                    break

    def _meaning(self, pattern: Pattern, passage: Passage) -> Category | None:
        """Return the category of a match, or None when the sentence takes it back."""
        if pattern.negatable and self._negated(passage.lead()):
            return None
        if pattern.past and self._is_past(passage):
            return None
        about_other = pattern.about == "other" or (pattern.about != "self" and self._other_is_nearest(passage.before))
        told = passage.near if about_other else self._since_first_person(passage)
        if pattern.about != "self" and self._lexicon.cues.fiction.search(told):
            return None
        if not about_other:
            return pattern.category
        if self._is_mourned(passage):
            return None
        return pattern.category if pattern.about == "either" else Category.CONCERN_FOR_OTHER

    def _negated(self, lead: str) -> bool:
        """Return whether a negation stands at the end of `lead`, with nothing but link words after it."""
        for cue in reversed(list(self._lexicon.cues.negation.finditer(lead))):
            if self._lexicon.cues.doubt.search(lead, 0, cue.end()):
                return False
            if self._only_links(lead[cue.end() :]):
                return True
        return False

    def _only_links(self, between: str) -> bool:
        return all(self._lexicon.cues.link.fullmatch(word) for word in between.split())

    def _is_past(self, passage: Passage) -> bool:
        """Return whether the match's clause tells it as over: what other clauses tell is another matter."""
        cues = self._lexicon.cues
        if self._is_intended(passage):
            return False
        previous, clause, following = passage.clauses
        if cues.recovered.search(clause):
            return True
        recovered = cues.recovered.search(passage.near)
        dated = cues.past.search(clause) or self._dates(previous, clause) or self._dates(following, clause)
        if dated and (recovered or not cues.present.search(passage.near)):
            return True
        return bool(recovered and cues.past_tense.search(clause) and not cues.present.search(clause))

    def _dates(self, neighbour: str, clause: str) -> bool:
        """Return whether the clause beside `clause` is a mere date of it (`years ago`, `as a child in France`)."""
        cues = self._lexicon.cues
        past = cues.past.search(neighbour)
        if past is None or len(neighbour) - len(past.group()) > _DATE_EXTRA_CHARS:
            return False
        rest = neighbour[: past.start()] + neighbour[past.end() :]
        spoken = cues.first_person.search(rest) or cues.other_person.search(rest) or cues.unfinished.search(clause)
        return spoken is None

    def _is_intended(self, passage: Passage) -> bool:
        """Return whether the person says of the match that they want or are about to do it."""
        upto = passage.lead() + passage.near[passage.start : passage.end]
        lead_chars = len(passage.lead())
        return any(self._only_links(upto[cue.end() : lead_chars]) for cue in self._lexicon.cues.intent.finditer(upto))

    def _is_mourned(self, passage: Passage) -> bool:
        """Return whether somebody's death is told, and not the danger of somebody else who is alive."""
        cues = self._lexicon.cues
        clause = passage.clause
        if cues.completed.search(clause):
            return True
        named = any(" " in other.group() for other in cues.other_person.finditer(clause))
        return not named and not cues.ongoing.search(clause) and bool(cues.completed.search(passage.near))

    def _other_is_nearest(self, before: str) -> bool:
        outside = _outside_quotation(before)
        return _last(self._lexicon.cues.other_person, outside) > _last(self._lexicon.cues.first_person, outside)

    def _since_first_person(self, passage: Passage) -> str:
        """Return what stands between the last first person and the match: where a story or topic would be named."""
        since = _last(self._lexicon.cues.first_person, passage.before)
        return passage.near if since < 0 else passage.near[since : passage.start]

    def _is_dangerous(self, sentence: str) -> bool:
        """Return whether a sentence of a reply states or urges danger, and does not ask, report or deny it."""
        stated = (Passage.around(sentence, match) for match in self._lexicon.dangerous_reply.finditer(sentence))
        if any(self._is_said(passage) and not self._negated(passage.lead()) for passage in stated):
            return True
        urged = (Passage.around(sentence, match) for match in self._lexicon.dangerous_advice.finditer(sentence))
        return any(self._is_urged(passage) and self._is_said(passage) for passage in urged)

    def _is_said(self, passage: Passage) -> bool:
        """Return whether the reply itself says the match: nobody is quoted or asked, no condition leads up to it."""
        lead = " ".join(_WORD.findall(passage.lead(across=_AND_THAT)))
        cues = self._lexicon.cues
        return not (passage.is_quoted or cues.reported.search(lead) or cues.asking.match(lead))

    def _is_urged(self, passage: Passage) -> bool:
        """Return whether an act stands where an imperative stands, or after words that urge it."""
        words = _WORD.findall(passage.lead())
        if words:
            urges = (count for count in range(_URGE_WORDS, 0, -1) if self._is_urge(words[-count:]))
            longest = next(urges, 0)
            return longest > 0 and not self._negated(" ".join([*words[:-longest], ""]))
        whole = " ".join(_WORD.findall(passage.lead(across=_AND)))
        if self._lexicon.cues.asking.match(whole):
            return False
        urged = any(" " in urge.group() for urge in self._lexicon.cues.urging.finditer(whole))
        return urged or not _SUBJECT.search(whole)

    def _is_urge(self, words: Sequence[str]) -> bool:
        return self._lexicon.cues.urging.fullmatch(" ".join(words)) is not None


def _outside_quotation(before: str) -> str:
    """Return what stands before the quotation that is still open at the end of `before`: it names the speaker."""
    return before[: before.rindex('"')] if before.count('"') % 2 else before


def _last(pattern: re.Pattern[str], text: str) -> int:
    """Return where the last match ends, -1 when there is none."""
    return max((match.end() for match in pattern.finditer(text)), default=-1)
