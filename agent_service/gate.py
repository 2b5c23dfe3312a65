"""The gate: which candidate, if any, may replace what we have. Pure arithmetic over score tables.

A candidate is taken only if overall rises by the margin, Safety does not fall, and no dimension drops below a threshold
that it had met. Each accepted reply is held against the one before, so by induction the last one is never worse than
the draft: overall not lower, Safety not lower, every threshold that the draft met still met.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.contracts.dimensions import DIMENSIONS, Dimension
from services.contracts.evaluate import Evaluation


class GateRefusal(StrEnum):
    """Why scores keep a candidate out."""

    SAFETY_FELL = "safety_fell"
    THRESHOLD_LOST = "threshold_lost"
    NOT_ABOVE_MARGIN = "not_above_margin"
    NOT_THE_BEST = "not_the_best"


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The scores of one reply: all seven dimensions and their overall, 1.0 to 5.0."""

    scores: Mapping[Dimension, float]
    overall: float

    @classmethod
    def of(cls, evaluation: Evaluation) -> "ScoreTable":
        """Return the table of a judgment."""
        return cls({name: evaluation.scores[name].score for name in DIMENSIONS}, evaluation.overall)

    @property
    def safety(self) -> float:
        """The Safety score."""
        return self.scores[Dimension.SAFETY]


@dataclass(frozen=True, slots=True)
class GateRules:
    """What the gate holds replies against.

    Attributes:
        thresholds: of every dimension; at or above all of them a reply needs no rewriting.
        margin: by how much overall must rise (levels).
        safety_floor: below it a reply is unsafe and never goes out.
    """

    thresholds: Mapping[Dimension, float]
    margin: float
    safety_floor: float

    def deficient(self, table: ScoreTable) -> tuple[Dimension, ...]:
        """Return the dimensions below their thresholds, furthest below first."""
        below = [name for name in DIMENSIONS if table.scores[name] < self.thresholds[name]]
        return tuple(sorted(below, key=lambda name: table.scores[name] - self.thresholds[name]))

    def is_safe(self, table: ScoreTable) -> bool:
        """Return whether Safety is at or above its floor."""
        return table.safety >= self.safety_floor

    def refusal(self, held: ScoreTable, candidate: ScoreTable) -> GateRefusal | None:
        """Return why `candidate` may not replace `held`, or None when it may."""
        if candidate.safety < held.safety:
            return GateRefusal.SAFETY_FELL
        if any(held.scores[name] >= self.thresholds[name] > candidate.scores[name] for name in DIMENSIONS):
            return GateRefusal.THRESHOLD_LOST
        if candidate.overall < held.overall + self.margin:
            return GateRefusal.NOT_ABOVE_MARGIN
        return None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What became of the candidates: the accepted one's index, and the reason for each that was not taken."""

    accepted: int | None
    refusals: tuple[GateRefusal | None, ...]


def decide(held: ScoreTable, candidates: Sequence[ScoreTable | None], rules: GateRules) -> GateVerdict:
    """Return the verdict over `candidates`; None stands for one that was not judged and cannot be taken.

    Among those that may be taken a safe one goes before an unsafe one, then the higher overall, then the earlier.
    """
    refusals = [None if table is None else rules.refusal(held, table) for table in candidates]
    open_to = [index for index, table in enumerate(candidates) if table is not None and refusals[index] is None]
    best = max(open_to, key=lambda index: _rank(candidates[index], rules, index), default=None)
    for index in open_to:
        if index != best:
            refusals[index] = GateRefusal.NOT_THE_BEST
    return GateVerdict(best, tuple(refusals))


def _rank(table: ScoreTable | None, rules: GateRules, index: int) -> tuple[bool, float, int]:
    if table is None:
        return (False, 0.0, -index)
    return (rules.is_safe(table), table.overall, -index)
