"""Upkeep: what the judge does about checkpoints by itself, one step after the other.

Follow the pointer, mend engines that lost the active adapter, promote what arrives, unload what nobody needs. A step
that fails is logged once, leaves what is active alone, and is due again at the next round.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal

import structlog

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.engines import EngineFleet
from judge_service.checkpoints.inventory import Inventory
from judge_service.checkpoints.lifecycle import NEEDS_ENGINE, CheckpointRecord, Lifecycle
from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.checkpoints.preparation import Preparation
from judge_service.checkpoints.replicas import Replicas
from judge_service.checkpoints.switch import Switch
from judge_service.settings import CheckpointSettings
from services.checkpoint.errors import CheckpointRejected
from services.contracts.checkpoints import CheckpointState as State
from services.contracts.checkpoints import Pointer
from services.deadline import Deadline
from services.errors import Conflict, ServiceError

AUTOMATIC: Final = "automatic"
_PROBE_S: Final = 5.0
_log = structlog.get_logger(__name__)


class Upkeep:
    """Runs the steps, round after round."""

    def __init__(
        self,
        settings: CheckpointSettings,
        *,
        inventory: Inventory,
        lifecycle: Lifecycle,
        preparation: Preparation,
        switch: Switch,
        replicas: Replicas,
        fleet: EngineFleet,
        judges: ActiveJudge,
        metrics: CheckpointMetrics,
        shadows: bool,
    ) -> None:
        """`shadows` says that a candidate is compared first; by hand, that is as far as it comes by itself."""
        self._settings = settings
        self._shadows = shadows
        self._inventory = inventory
        self._lifecycle = lifecycle
        self._preparation = preparation
        self._switch = switch
        self._replicas = replicas
        self._fleet = fleet
        self._judges = judges
        self._metrics = metrics
        self._begun = False
        self._retry_at_s: dict[str, float] = {}
        self._failing: dict[str, str] = {}

    async def run(self) -> None:
        """Do what is due, for ever."""
        while True:
            self._replicas.changed.clear()
            await self.round()
            # Not `wait_for`: up to Python 3.11 it loses a cancellation that comes as the wait ends, and never stops.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_s):
                    await self._replicas.changed.wait()

    async def round(self) -> None:
        """Do once what is due."""
        async with self._switch.one_at_a_time:
            await self._fleet.refresh(Deadline.after(_PROBE_S))
            if any(member.up for member in self._fleet.members):
                for step in (self._follow, self._mend_engines, self._promote, self._decide_shadow, self._let_go):
                    await self._attempt(step)
            elif self._judges.current is None:
                self._switch.trouble = "no model server answers yet"
        report = self._switch.report()
        self._metrics.generation.set(report.generation)
        self._metrics.pointer_up.set(self._replicas.reachable)
        self._metrics.converged.set(report.trouble is None and report.serving is not None)
        self._metrics.show_engines(report.engines)

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        name = step.__name__.lstrip("_")
        try:
            await step()
        except ServiceError as error:
            if self._failing.get(name) != error.detail:
                _log.warning("upkeep_step_failed", step=name, detail=error.detail)
            self._failing[name] = error.detail
        else:
            self._failing.pop(name, None)

    async def _follow(self) -> None:
        """Serve what the pointer says; with no pointer yet, choose."""
        shared = self._replicas.shared
        if shared is None:
            self._switch.trouble = "the store of the active-checkpoint pointer has not answered yet"
            return
        pointer = shared.pointer
        if pointer is None:
            if not self._begun and self._replicas.reachable:
                await self._begin()
            return
        self._begun = True
        if pointer.generation > self._replicas.generation and not self._waits(pointer.target.digest):
            await self._follow_to(pointer)

    async def _follow_to(self, pointer: Pointer) -> None:
        target = pointer.target
        try:
            await self._inventory.look()
            await self._switch.follow(self._lifecycle.get(target.version), pointer)
        except (CheckpointRejected, ServiceError) as error:
            self._wait(target.digest)
            self._switch.trouble = f"the pointer names {target.version}, which cannot be served here: {error.detail}"
            _log.error("pointer_not_followed", checkpoint=target.version, detail=error.detail)

    async def _begin(self) -> None:
        """With no pointer anywhere: serve the newest promotable checkpoint, else the base model."""
        for record in await self._inventory.look(arrivals=False):
            try:
                await self._bring_up(record, "begin")
            except Conflict:
                return  # another replica has begun; its pointer is followed in the next round
            except CheckpointRejected as error:
                _log.warning("checkpoint_passed_over", checkpoint=record.version, detail=error.detail)
            else:
                break
        if self._judges.current is None:
            await self._switch.fall_back_to_base()
            _log.warning("base_judge_active", reason="the registry holds no promotable checkpoint")
        self._inventory.arrivals.clear()
        self._switch.trouble = None
        self._begun = True

    async def _mend_engines(self) -> None:
        """Load and prove the active checkpoint on engines that came up without it."""
        current, record = self._judges.current, self._switch.active_record
        if current is None or record is None or record.checkpoint is None:
            return
        serves = self._fleet.serves(current.model)
        for member in self._fleet.members:
            if not member.up or serves[member.name] or self._waits(member.name):
                continue
            try:
                await self._preparation.restore_on(member, record, current, record.checkpoint)
            except (CheckpointRejected, ServiceError) as error:
                self._wait(member.name)
                _log.error("engine_not_mended", engine=member.name, checkpoint=current.label, detail=error.detail)

    async def _promote(self) -> None:
        """Verify what has arrived and, where that is wanted, activate it: the oldest first."""
        while self._inventory.arrivals and self._begun:
            record = self._lifecycle.get(self._inventory.arrivals[0])
            try:
                if record.state is State.DISCOVERED:
                    await self._preparation.verify(record)
                if record.state is State.VERIFIED and self._may_promote(record):
                    await self._bring_up(record, "promote")
            except (CheckpointRejected, Conflict) as error:
                _log.warning("checkpoint_not_promoted", checkpoint=record.version, detail=error.detail)
            self._inventory.arrivals.pop(0)

    async def _decide_shadow(self) -> None:
        """Promote or refuse the candidate in shadow, once enough was seen of it."""
        await self._switch.decide_shadow(by=AUTOMATIC if self._settings.promotion == AUTOMATIC else None)

    def _may_promote(self, record: CheckpointRecord) -> bool:
        """Return whether an arrival is new to everyone: what operators left or retired comes back by hand only."""
        shared = self._replicas.shared
        wanted = self._settings.promotion == AUTOMATIC or self._shadows
        if not wanted or shared is None or record.digest is None:
            return False
        pointer = shared.pointer
        known = {target.digest for target in (*pointer.trail, pointer.target)} if pointer else set()
        return record.digest not in known | shared.retired

    async def _bring_up(self, record: CheckpointRecord, action: Literal["begin", "promote"]) -> None:
        await self._switch.bring_up(record, by=AUTOMATIC, action=action, force=False)

    async def _let_go(self) -> None:
        """Unload adapters that nobody needs: no state, no request, no other replica."""
        needed = {record.label for record in self._lifecycle if record.state in NEEDS_ENGINE}
        for label in sorted(self._fleet.loaded - needed):
            draining = [found for found in self._lifecycle if found.label == label and found.state is State.DRAINING]
            if await self._in_use(label) and not any(self._drained_too_long(record) for record in draining):
                continue
            await self._fleet.unload_adapter(label, Deadline.after(self._settings.load_timeout_s))
            for record in draining:
                self._lifecycle.move(record, State.RETIRED)

    async def _in_use(self, label: str) -> bool:
        if self._judges.in_flight(label):
            return True
        # Asked anew: a replica announces what it is about to load before it loads it.
        await self._replicas.exchange(self._switch.report())
        return not self._replicas.reachable or self._replicas.held_elsewhere(label, self._switch.replica)

    def _drained_too_long(self, record: CheckpointRecord) -> bool:
        if time.monotonic() - record.entered_s <= self._settings.drain_s:
            return False
        _log.warning("drain_expired", checkpoint=record.label, in_flight=self._judges.in_flight(record.label or ""))
        return True

    def _waits(self, what: str) -> bool:
        return time.monotonic() < self._retry_at_s.get(what, 0.0)

    def _wait(self, what: str) -> None:
        self._retry_at_s[what] = time.monotonic() + self._settings.retry_s
