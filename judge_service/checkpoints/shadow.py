"""The shadow: a candidate scores a share of live replies beside the active checkpoint, and nobody sees its scores.

Only the difference is kept: per dimension the gap, the bias, and how often a reply would fall on the other side of its
flag threshold. Scoring happens after the answer went out, a few at a time; what there is no room for is skipped.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from judge_service.checkpoints.lifecycle import CheckpointRecord
from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.golden import scores_of
from judge_service.judgment import StoredVerdict
from judge_service.scoring import render, score
from judge_service.served import ServedJudge
from judge_service.settings import ShadowSettings
from services.contracts.checkpoints import ShadowReport
from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.deadline import Deadline
from services.errors import ServiceError
from services.llm.port import LLM


class Shadow:
    """At most one candidate at a time. Implements `served.VerdictObserver`."""

    def __init__(
        self,
        settings: ShadowSettings,
        thresholds: Mapping[Dimension, float],
        engine: LLM,
        metrics: CheckpointMetrics,
    ) -> None:
        self.settings = settings
        self._thresholds = thresholds
        self._engine = engine
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._due = 0.0
        self._record: CheckpointRecord | None = None
        self._judge: ServedJudge | None = None
        self._forget()

    @property
    def candidate(self) -> CheckpointRecord | None:
        """The record of the checkpoint in shadow."""
        return self._record

    @property
    def judge(self) -> ServedJudge | None:
        """The judge in shadow."""
        return self._judge

    def begin(self, record: CheckpointRecord, judge: ServedJudge) -> None:
        """Let `judge` score beside the active one from now on."""
        self.end()
        self._forget()
        self._record, self._judge = record, judge

    def end(self) -> None:
        """Stop scoring; the figures stay until the next candidate begins."""
        self._record = self._judge = None
        for task in self._tasks:
            task.cancel()

    def observe(self, active: ServedJudge, turns: Sequence[Turn], reply: str, verdict: StoredVerdict) -> None:
        """Take note of a live verdict; a share of them is scored by the candidate, later. Never waits, never raises."""
        candidate = self._judge
        if candidate is None or candidate.label == active.label:
            return
        self._due += self.settings.share
        if self._due < 1.0:
            return
        self._due -= 1.0
        if len(self._tasks) >= self.settings.concurrency:
            self._metrics.shadow_scored.labels("skipped").inc()
            return
        task = asyncio.create_task(self._compare(candidate, active, tuple(turns), reply, verdict))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Return when no comparison is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def report(self) -> ShadowReport:
        """Return the figures so far."""
        count = max(1, self._compared)
        return ShadowReport(
            compared=self._compared,
            failed=self._failed,
            mean_gap={name: self._gap[name] / count for name in DIMENSIONS},
            bias={name: self._bias[name] / count for name in DIMENSIONS},
            flips={name: self._flips[name] / count for name in DIMENSIONS},
        )

    def objection(self) -> str | None:
        """Return what is out of bounds, in words; None when all is within.

        A reply that the candidate could not score says nothing of its scores, so it is left out of gaps and flips; but
        too many of them are a reason by themselves, and bound how few comparisons may decide.
        """
        report = self.report()
        given = report.compared + report.failed
        if report.failed > self.settings.max_failed_share * given:
            return f"it failed to score {report.failed} of {given} replies"
        for name in DIMENSIONS:
            if report.mean_gap[name] > self.settings.max_mean_gap:
                return f"{name} differs by {report.mean_gap[name]:.2f} levels on average over {report.compared} replies"
            if report.flips[name] > self.settings.max_flip_share:
                return f"{name} flips its flag on {report.flips[name]:.0%} of {report.compared} replies"
        return None

    @property
    def enough(self) -> bool:
        """Whether the candidate was given enough replies to decide; those that it failed to score count."""
        return self._compared + self._failed >= self.settings.min_compared

    async def _compare(
        self, candidate: ServedJudge, active: ServedJudge, turns: Sequence[Turn], reply: str, verdict: StoredVerdict
    ) -> None:
        try:
            prompt = await render(candidate, turns, reply)
            deadline = Deadline.after(self.settings.timeout_s)
            other = await score(self._engine, candidate, prompt, deadline, kind="shadow")
        except ServiceError:
            self._failed += 1
            self._metrics.shadow_scored.labels("failed").inc()
            return
        ours, theirs = scores_of(verdict, active.calibration), scores_of(other, candidate.calibration)
        self._compared += 1
        self._metrics.shadow_scored.labels("compared").inc()
        for name in DIMENSIONS:
            difference, threshold = theirs[name] - ours[name], self._thresholds[name]
            flipped = (theirs[name] < threshold) != (ours[name] < threshold)
            self._gap[name] += abs(difference)
            self._bias[name] += difference
            self._flips[name] += flipped
            self._metrics.shadow_gap.labels(name).observe(abs(difference))
            self._metrics.shadow_flips.labels(name).inc(flipped)

    def _forget(self) -> None:
        self._compared = self._failed = 0
        self._gap: defaultdict[Dimension, float] = defaultdict(float)
        self._bias: defaultdict[Dimension, float] = defaultdict(float)
        self._flips: defaultdict[Dimension, int] = defaultdict(int)
