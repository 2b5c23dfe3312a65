"""A verdict: seven distributions over the five levels, read from the engine's log-probabilities.

Fails closed: a missing level, a probability mass that is not one, or a wrong number of dimensions is an error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.contracts.dimensions import DIMENSIONS, LEVELS
from services.rubric.errors import VerdictMalformed

_MASS_TOLERANCE = 0.01
"""How far the five probabilities may be from one: bf16 log-probabilities round at about 0.004."""


@dataclass(frozen=True, slots=True)
class LevelDistribution:
    """Probabilities of the levels 1 to 5 for one dimension; they sum to one."""

    probabilities: tuple[float, float, float, float, float]

    @property
    def expectation(self) -> float:
        """Expected level, 1.0 to 5.0."""
        return sum(level * p for level, p in zip(LEVELS, self.probabilities, strict=True))

    @property
    def standard_deviation(self) -> float:
        """Standard deviation of the level, 0.0 to 2.0."""
        mean = self.expectation
        variance = sum(p * (level - mean) ** 2 for level, p in zip(LEVELS, self.probabilities, strict=True))
        return math.sqrt(max(variance, 0.0))

    @property
    def entropy(self) -> float:
        """Shannon entropy in nats, 0.0 to ln 5."""
        return -sum(p * math.log(p) for p in self.probabilities if p > 0.0)

    @classmethod
    def from_logprobs(cls, logprobs: Mapping[int, float], level_ids: Sequence[int]) -> "LevelDistribution":
        """Read the distribution from `{token id: log-probability}` at one position.

        Raises:
            VerdictMalformed: a level is absent, a value is not a log-probability, or they do not sum to one.
        """
        missing = [level for level, token in zip(LEVELS, level_ids, strict=True) if token not in logprobs]
        if missing:
            raise VerdictMalformed(f"the engine gave no probability for level {missing[0]}")
        values = [math.exp(min(logprobs[token], 0.0)) for token in level_ids]
        mass = sum(values)
        if not math.isfinite(mass) or abs(mass - 1.0) > _MASS_TOLERANCE:
            raise VerdictMalformed(f"the five probabilities sum to {mass:.4f}")
        first, second, third, fourth, fifth = (value / mass for value in values)
        return cls((first, second, third, fourth, fifth))


def read_verdict(positions: Sequence[Mapping[int, float]], level_ids: Sequence[int]) -> tuple[LevelDistribution, ...]:
    """Return the seven distributions, in the rubric's order, from the log-probabilities at each generated position.

    Raises:
        VerdictMalformed: there are not exactly seven positions, or one of them is malformed.
    """
    if len(positions) != len(DIMENSIONS):
        raise VerdictMalformed(f"the engine returned {len(positions)} of {len(DIMENSIONS)} scores")
    return tuple(LevelDistribution.from_logprobs(position, level_ids) for position in positions)
