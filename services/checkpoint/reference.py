"""`reference.json`: how a checkpoint's scores were spread over replies that it never learnt from, at packaging.

What is served is compared with it (PSI, in ops/prometheus/rules/judge.yml). A checkpoint may lack it: older ones do,
and then nothing is compared.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.contracts.dimensions import DIMENSIONS, Dimension

UPPER_BOUNDS: Final = (1.5, 2.5, 3.5, 4.5)
"""Of the first four of five bins, each with its bound: a bin holds the scores that round to one level. The buckets of
`theraloop_judge_score` have the same bounds, so that Prometheus can form the same bins."""
_ROUNDING: Final = 0.005


class ScoreReference(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replies: int = Field(ge=1, description="How many replies were scored.")
    shares: Mapping[Dimension, tuple[float, float, float, float, float]] = Field(
        description="Per dimension, the share of calibrated scores in each bin, from the lowest."
    )

    @model_validator(mode="after")
    def _distributions(self) -> Self:
        for name in DIMENSIONS:
            shares = self.shares.get(name, ())
            if not shares or min(shares) < 0.0 or not math.isclose(sum(shares), 1.0, abs_tol=_ROUNDING):
                raise ValueError(f"{name} has no shares that sum to one")
        return self

    @classmethod
    def of(cls, scores: Mapping[Dimension, Sequence[float]]) -> Self:
        """Return the reference of calibrated scores, the same number for every dimension."""
        return cls(
            replies=len(scores[DIMENSIONS[0]]),
            shares={name: _shares(scores[name]) for name in DIMENSIONS},
        )


def _shares(scores: Sequence[float]) -> tuple[float, float, float, float, float]:
    counts = [0] * (len(UPPER_BOUNDS) + 1)
    for score in scores:
        counts[sum(score > bound for bound in UPPER_BOUNDS)] += 1
    first, second, third, fourth, fifth = (round(count / len(scores), 6) for count in counts)
    return first, second, third, fourth, fifth
