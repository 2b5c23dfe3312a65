"""Sentinels: the active checkpoint's golden cases, asked again on a schedule while it serves.

The canary proves a checkpoint when it is loaded; this tells when it stops being that: another engine version, a changed
setting, a broken adapter. One case at a time, behind live requests, and not at all while the engine is saturated. What
is found is only told (metrics, one log line): nothing is switched or unloaded here.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Final

import structlog

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.engines import EngineFleet, Member
from judge_service.golden import GoldenAnswer, ask_again
from judge_service.health.metrics import GoldenMetrics
from judge_service.served import ServedJudge
from judge_service.settings import SentinelSettings
from services.checkpoint.golden import GoldenCase
from services.contracts.dimensions import DIMENSIONS
from services.deadline import Deadline
from services.errors import ServiceError

_ATTEMPTS: Final = 2
"""As the canary: a near-tie may flip once."""
_BEHIND_LIVE: Final = 1
"""Priority of live requests is 0; an engine that schedules by priority serves these after all of them."""
_JITTER: Final = 0.2
_PROBE_S: Final = 5.0
_log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How a run on one engine ended."""

    SCORED = "scored"
    NO_CHECKPOINT = "no_checkpoint"
    ENGINE_SATURATED = "engine_saturated"
    ENGINE_FAILED = "engine_failed"
    CHECKPOINT_SWITCHED = "checkpoint_switched"


class Sentinels:
    """Asks the golden cases of whatever checkpoint is active."""

    def __init__(
        self, settings: SentinelSettings, judges: ActiveJudge, fleet: EngineFleet, metrics: GoldenMetrics
    ) -> None:
        self._settings = settings
        self._judges = judges
        self._fleet = fleet
        self._metrics = metrics
        self._rounds = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run in the background over the block; not at all when the interval is 0."""
        if not self._settings.interval_s:
            yield
            return
        for outcome in Outcome:
            self._metrics.runs.labels(outcome)  # from zero: what never happened is then seen not to happen
        task = asyncio.create_task(self._run())
        task.add_done_callback(_tell_of_end)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def round(self) -> None:
        """Ask once, on one engine after the other."""
        self._rounds += 1
        for member in self._fleet.members:
            self._metrics.runs.labels(await self._outcome(member)).inc()

    async def _run(self) -> None:
        while True:
            # Spread, so that replicas that started together do not ask a shared engine together.
            await asyncio.sleep(self._settings.interval_s * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311
            await self.round()

    async def _outcome(self, member: Member) -> Outcome:
        try:
            with self._judges.lease() as judge:
                return await self._ask(member, judge)
        except ServiceError as error:
            _log.warning("golden_cases_not_scored", engine=member.name, detail=error.detail)
            return Outcome.ENGINE_FAILED

    async def _ask(self, member: Member, judge: ServedJudge) -> Outcome:
        if not judge.golden:
            return Outcome.NO_CHECKPOINT
        if not self._fleet.serves(judge.model)[member.name]:
            return Outcome.ENGINE_FAILED
        cases, answers = self._due(judge.golden), []
        for case in cases:
            if await self._is_saturated(member):
                return Outcome.ENGINE_SATURATED
            answers.append(
                await ask_again(
                    _ATTEMPTS,
                    member.engine,
                    judge,
                    case,
                    self._settings.case_timeout_s,
                    kind="sentinel",
                    priority=_BEHIND_LIVE,
                )
            )
        if self._judges.current is not judge:
            return Outcome.CHECKPOINT_SWITCHED
        self._tell(member, judge, cases, answers)
        return Outcome.SCORED

    def _due(self, golden: Sequence[GoldenCase]) -> Sequence[GoldenCase]:
        """Return the cases of this round: all, or where there are more than may be asked, the next in turn."""
        count = min(len(golden), self._settings.cases)
        first = self._rounds * count
        return [golden[(first + offset) % len(golden)] for offset in range(count)]

    async def _is_saturated(self, member: Member) -> bool:
        if member.in_flight >= self._settings.busy_in_flight:
            return True
        return await member.engine.waiting(Deadline.after(_PROBE_S)) > 0

    def _tell(
        self, member: Member, judge: ServedJudge, cases: Sequence[GoldenCase], answers: Sequence[GoldenAnswer]
    ) -> None:
        pairs = list(zip(cases, answers, strict=True))
        misses = [given.misses(case.scores) for case, given in pairs]
        off = [case.id for case, given in pairs if given.miss(case.scores) > case.tolerance]
        worst = {name: max(miss[name] for miss in misses) for name in DIMENSIONS}
        self._metrics.show(judge.label, member.name, worst, len(off) / len(pairs))
        tell = _log.warning if off else _log.info
        tell(
            "golden_cases_scored",
            checkpoint=judge.label,
            engine=member.name,
            cases=len(pairs),
            off=off,
            largest_miss=round(max(worst.values()), 3),
            seconds=round(sum(given.seconds for given in answers), 2),
        )


def _tell_of_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("sentinels_stopped", exc_info=error)
