"""From a distribution over levels to a calibrated score with an interval.

Each dimension has a monotone piecewise-linear map of the expected level, and an interval whose half-width is
`interval_scale * (standard deviation + interval_floor)`: the judge's own spread, scaled so that the stated share of
held-out ratings falls inside. The trainer fits it, the judge applies it; both use this module.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.contracts.dimensions import DIMENSIONS, MAX_SCORE, MIN_SCORE, Dimension
from services.rubric.verdict import LevelDistribution

NORMAL_80: Final = 1.2816
"""Half-width of the central 80% of a normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class CalibratedScore:
    """A score and its interval, both within 1.0 to 5.0."""

    score: float
    interval: tuple[float, float]


class DimensionCalibration(BaseModel):
    """The map of one dimension."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    raw: tuple[float, ...] = Field(min_length=2, description="Expected levels, strictly increasing.")
    calibrated: tuple[float, ...] = Field(min_length=2, description="Scores at those levels, never decreasing.")
    interval_scale: float = Field(gt=0.0, description="Half-width per unit of spread.")
    interval_floor: float = Field(ge=0.0, description="Added to the standard deviation, in levels.")

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        if len(self.raw) != len(self.calibrated):
            raise ValueError("raw and calibrated differ in length")
        if any(a >= b for a, b in zip(self.raw, self.raw[1:], strict=False)):
            raise ValueError("raw is not strictly increasing")
        if any(a > b for a, b in zip(self.calibrated, self.calibrated[1:], strict=False)):
            raise ValueError("calibrated decreases")
        if min(self.calibrated) < MIN_SCORE or max(self.calibrated) > MAX_SCORE:
            raise ValueError("calibrated leaves 1.0 to 5.0")
        return self

    def apply(self, distribution: LevelDistribution) -> CalibratedScore:
        """Return the score and interval of one distribution; beyond the outer knots the map is flat."""
        score = self._interpolate(distribution.expectation)
        half = self.interval_scale * (distribution.standard_deviation + self.interval_floor)
        return CalibratedScore(score, (max(MIN_SCORE, score - half), min(MAX_SCORE, score + half)))

    def _interpolate(self, value: float) -> float:
        right = bisect_right(self.raw, value)
        if right == 0:
            return self.calibrated[0]
        if right == len(self.raw):
            return self.calibrated[-1]
        x0, x1 = self.raw[right - 1], self.raw[right]
        y0, y1 = self.calibrated[right - 1], self.calibrated[right]
        return y0 + (y1 - y0) * (value - x0) / (x1 - x0)


class Calibration(BaseModel):
    """The maps of all seven dimensions: `calibration.json` of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    coverage: float = Field(gt=0.0, lt=1.0, description="Share of ratings that the intervals are meant to hold.")
    dimensions: Mapping[Dimension, DimensionCalibration] = Field(description="One map per dimension.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in DIMENSIONS if name not in self.dimensions]
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}")
        return self

    @classmethod
    def identity(cls) -> Self:
        """Return the calibration of an untrained judge: scores as they are, intervals of a normal distribution."""
        straight = DimensionCalibration(
            raw=(MIN_SCORE, MAX_SCORE), calibrated=(MIN_SCORE, MAX_SCORE), interval_scale=NORMAL_80, interval_floor=0.0
        )
        return cls(coverage=0.8, dimensions=dict.fromkeys(DIMENSIONS, straight))
