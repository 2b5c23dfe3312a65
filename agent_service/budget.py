"""Time: how long each stage takes here, and how what is left of a request is split over the stages still to come.

Estimates are a running quantile of recent measurements, per stage. A round that would not fit is not begun; within a
round each stage gets its share of what is left, so that a slow Critic cannot eat the Therapist's time.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from services.deadline import Deadline


class Stage(StrEnum):
    """The stages of a refinement, in order."""

    JUDGE_DRAFT = "judge_draft"
    CRITIC = "critic"
    COACH = "coach"
    THERAPIST = "therapist"
    JUDGE_CANDIDATES = "judge_candidates"


ROUND_STAGES: Final = (Stage.CRITIC, Stage.COACH, Stage.THERAPIST, Stage.JUDGE_CANDIDATES)
_UNMEASURED_WEIGHT: Final = {Stage.CRITIC: 2.0, Stage.COACH: 1.5, Stage.THERAPIST: 4.0, Stage.JUDGE_CANDIDATES: 2.5}
"""Shares until a stage has been measured: proportions of a round, not seconds."""


class StageTimes:
    """Recent durations of each stage in this process."""

    def __init__(
        self,
        *,
        quantile: float = 0.75,
        window: int = 64,
        max_age_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the last `window` measurements, none older than `max_age_s`.

        Old ones are dropped so that one bad spell cannot keep rounds from being tried for good.
        """
        self._quantile = quantile
        self._max_age_s = max_age_s
        self._clock = clock
        self._seen: dict[Stage, deque[tuple[float, float]]] = {stage: deque(maxlen=window) for stage in Stage}

    def record(self, stage: Stage, seconds: float) -> None:
        """Note that `stage` took `seconds`, also when it was cut off there."""
        self._seen[stage].append((self._clock(), seconds))

    def estimate_s(self, stage: Stage) -> float | None:
        """Return the quantile of the stage's recent durations, None when there are none."""
        oldest = self._clock() - self._max_age_s
        recent = sorted(seconds for at, seconds in self._seen[stage] if at >= oldest)
        return recent[min(len(recent) - 1, int(self._quantile * len(recent)))] if recent else None

    def round_s(self) -> float:
        """Return how long a round is expected to take; stages never measured count nothing: they have to be tried."""
        return sum(self.estimate_s(stage) or 0.0 for stage in ROUND_STAGES)


class Budget:
    """The time of one request."""

    def __init__(self, times: StageTimes, deadline: Deadline) -> None:
        self._times = times
        self._deadline = deadline

    def round_fits(self) -> bool:
        """Return whether another round is expected to end in time."""
        return self._deadline.remaining_s() > self._times.round_s() and not self._deadline.expired

    def for_stage(self, stage: Stage, following: Sequence[Stage]) -> Deadline:
        """Return the deadline of `stage`: its share of what is left, `following` being still to come."""
        weights = self._weights((stage, *following))
        return Deadline.after(self._deadline.remaining_s() * weights[0] / sum(weights))

    def _weights(self, stages: Sequence[Stage]) -> list[float]:
        estimates = [self._times.estimate_s(stage) for stage in stages]
        measured = [estimate for estimate in estimates if estimate]
        if len(measured) == len(stages):
            return measured
        return [_UNMEASURED_WEIGHT[stage] for stage in stages]
