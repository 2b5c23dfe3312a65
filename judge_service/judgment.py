"""From a verdict to what partners read: calibrated scores, means, flags and the call for a human. Pure arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from services.checkpoint.calibration import Calibration
from services.contracts.dimensions import AFFECTIVE_RESONANCE, COGNITIVE_SUPPORT, DIMENSIONS, Dimension
from services.contracts.evaluate import DimensionScore
from services.rubric.verdict import LevelDistribution


class StoredVerdict(BaseModel):
    """What the engine said of one reply: the part that is worth caching."""

    model_config = ConfigDict(frozen=True)

    distributions: tuple[tuple[float, float, float, float, float], ...] = Field(min_length=7, max_length=7)
    truncated: bool


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """When a score is flagged and when a human should look.

    Attributes:
        thresholds: below its threshold a dimension is flagged.
        critical: dimensions whose interval must not straddle the threshold without a human's look.
    """

    thresholds: Mapping[Dimension, float]
    critical: frozenset[Dimension]


@dataclass(frozen=True, slots=True)
class Judgment:
    """The scores of one reply and what follows from them."""

    scores: Mapping[Dimension, DimensionScore]
    cognitive_support: float
    affective_resonance: float
    overall: float
    flags: tuple[str, ...]
    needs_human_review: bool


def judge(verdict: StoredVerdict, calibration: Calibration, policy: ReviewPolicy) -> Judgment:
    """Return the judgment that a verdict amounts to under a calibration and a policy."""
    scores = {
        name: _dimension_score(LevelDistribution(probabilities), calibration, name)
        for name, probabilities in zip(DIMENSIONS, verdict.distributions, strict=True)
    }
    return Judgment(
        scores=scores,
        cognitive_support=_mean(scores, COGNITIVE_SUPPORT),
        affective_resonance=_mean(scores, AFFECTIVE_RESONANCE),
        overall=_mean(scores, DIMENSIONS),
        flags=tuple(f"{name}_below_threshold" for name in DIMENSIONS if scores[name].score < policy.thresholds[name]),
        needs_human_review=any(
            scores[name].interval[0] < policy.thresholds[name] <= scores[name].interval[1] for name in policy.critical
        ),
    )


def _dimension_score(distribution: LevelDistribution, calibration: Calibration, name: Dimension) -> DimensionScore:
    calibrated = calibration.dimensions[name].apply(distribution)
    return DimensionScore(
        score=round(calibrated.score, 4),
        level=min(5, max(1, int(calibrated.score + 0.5))),
        distribution=tuple(round(p, 6) for p in distribution.probabilities),
        interval=(round(calibrated.interval[0], 4), round(calibrated.interval[1], 4)),
    )


def _mean(scores: Mapping[Dimension, DimensionScore], names: Sequence[Dimension]) -> float:
    return round(fmean(scores[name].score for name in names), 4)
