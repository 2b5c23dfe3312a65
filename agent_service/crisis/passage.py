"""A match of the lexicon with what stands near it: its clause, and the words of it that lead up to the match.

Pure text arithmetic for the screen, bounded, so that a long sentence costs no more for each match than a short one.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

_SUBJECT: Final = r"(?:i|im|ive|id|ill|he|hes|she|shes|they|theyre|we|you|my|now|that|this|please|just|why)"
_CLAUSE_START: Final = re.compile(
    r'[,;:()"]|\b(?:but|and|yet|because|so(?= ' + _SUBJECT + r"\b)|although|though|however|pero|mais|aber|mas|ma)\b"
    r"|\b(?:like|as)(?= (?:i (?:did|used|had)|when|back)\b)"
)
_BEFORE_CHARS: Final = 300
_AFTER_CHARS: Final = 200
_LEAD_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Passage:
    """The text near one match; all positions count within `near`."""

    near: str
    start: int
    end: int
    boundaries: tuple[tuple[int, int], ...]

    @classmethod
    def around(cls, sentence: str, match: re.Match[str]) -> Self:
        """Return what stands up to 300 characters before and 200 after `match` in `sentence`."""
        offset = max(0, match.start() - _BEFORE_CHARS)
        near = sentence[offset : match.end() + _AFTER_CHARS]
        boundaries = tuple(boundary.span() for boundary in _CLAUSE_START.finditer(near))
        return cls(near, match.start() - offset, match.end() - offset, boundaries)

    @property
    def before(self) -> str:
        """What stands before the match."""
        return self.near[: self.start]

    @property
    def clauses(self) -> tuple[str, str, str]:
        """The clause before the match's own, its own, and the one after; the outer ones may be empty."""
        left = [boundary for boundary in self.boundaries if boundary[1] <= self.start]
        right = [boundary for boundary in self.boundaries if boundary[0] >= self.end]
        begin = left[-1][1] if left else 0
        finish = right[0][0] if right else len(self.near)
        previous = self.near[left[-2][1] if len(left) > 1 else 0 : left[-1][0]] if left else ""
        following = self.near[right[0][1] : right[1][0] if len(right) > 1 else len(self.near)] if right else ""
        return previous.strip(), self.near[begin:finish], following.strip()

    @property
    def clause(self) -> str:
        """The match's own clause."""
        return self.clauses[1]

    def lead(self, *, across: str = "") -> str:
        """Return the clause up to the match, at most 200 characters, reading over boundaries that `across` matches."""
        counted = (
            end
            for begin, end in self.boundaries
            if end <= self.start and not (across and re.match(across, self.near[begin:]))
        )
        return self.near[max(0, self.start - _LEAD_CHARS, *counted) : self.start]

    @property
    def is_quoted(self) -> bool:
        """Whether the match stands in a quotation that somebody in the same sentence leads up to."""
        before = self.before
        return before.count('"') % 2 == 1 and bool(before[: before.rindex('"')].strip())
