"""The switch: the only place where the active judge changes, by hand, by promotion, or because the pointer says so.

A change is: prepare the checkpoint (verify, load, canary), move the pointer in one step, flip. Until the flip nothing
that serves has been touched; whatever fails leaves it serving.
"""

import asyncio
from datetime import UTC, datetime
from typing import Literal

import structlog

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.base import BaseJudge
from judge_service.checkpoints.engines import EngineFleet
from judge_service.checkpoints.inventory import Inventory
from judge_service.checkpoints.lifecycle import NEEDS_ENGINE, CheckpointRecord, Lifecycle
from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.checkpoints.pointer import predecessor, successor
from judge_service.checkpoints.preparation import Preparation
from judge_service.checkpoints.replicas import Replicas
from judge_service.checkpoints.shadow import Shadow
from judge_service.served import ServedJudge
from services.checkpoint.errors import CheckpointRejected
from services.contracts.checkpoints import AuditEntry, Pointer, PointerTarget, ReplicaReport
from services.contracts.checkpoints import CheckpointState as State
from services.contracts.checkpoints import RejectionReason as Reason
from services.deadline import Deadline
from services.errors import Conflict, ServiceError

Action = Literal["activate", "promote", "rollback", "begin"]
_PROBE_S = 5.0
_audit = structlog.get_logger("theraloop.audit")


class Switch:
    """Changes which checkpoint is active. Callers hold `one_at_a_time` around everything that changes anything.

    `trouble` says why this replica does not serve what the pointer says; None when it does.
    """

    def __init__(
        self,
        *,
        replica: str,
        inventory: Inventory,
        lifecycle: Lifecycle,
        preparation: Preparation,
        replicas: Replicas,
        fleet: EngineFleet,
        judges: ActiveJudge,
        base: BaseJudge,
        shadow: Shadow,
        metrics: CheckpointMetrics,
    ) -> None:
        self.replica = replica
        self.trouble: str | None = None
        self.one_at_a_time = asyncio.Lock()
        self._inventory = inventory
        self._lifecycle = lifecycle
        self._preparation = preparation
        self._replicas = replicas
        self._fleet = fleet
        self._judges = judges
        self._base = base
        self._shadow = shadow
        self._metrics = metrics
        self._claimed: str | None = None

    @property
    def active_record(self) -> CheckpointRecord | None:
        """The record of the active checkpoint; None while the base model judges."""
        return next((record for record in self._lifecycle if record.state is State.ACTIVE), None)

    async def activate(self, version: str, *, by: str, force: bool) -> None:
        """Make `version` what all replicas serve; nothing happens when it is already.

        Raises:
            NotFound: there is no such checkpoint.
            Conflict: it failed a check, is not promotable and not forced, or another change came first.
            EngineUnavailable, PointerUnavailable: it cannot be done now.
        """
        async with self.one_at_a_time:
            # Asked first, so that a store that is down refuses the change at once and not after a minute of canaries.
            await self._replicas.store.read()
            await self._inventory.look()
            record = self._lifecycle.get(version)
            try:
                await self.bring_up(record, by=by, action="activate", force=force)
            except CheckpointRejected as error:
                raise Conflict(f"{version} was rejected: {error}") from error

    async def rollback(self, *, by: str, from_version: str | None) -> None:
        """Go back to what was served before; nothing happens when `from_version` is not served any more.

        Raises:
            Conflict: there is nothing to go back to, or it fails a check now.
            NotFound, EngineUnavailable, PointerUnavailable: as `activate`.
        """
        async with self.one_at_a_time:
            pointer = (await self._replicas.store.read()).pointer
            if from_version is not None and (pointer is None or pointer.target.version != from_version):
                return
            target = predecessor(pointer).target
            await self._inventory.look()
            record = self._lifecycle.get(target.version)
            try:
                await self.bring_up(record, by=by, action="rollback", force=True, digest=target.digest)
            except CheckpointRejected as error:
                raise Conflict(f"{target.version} was rejected: {error}") from error

    async def retire(self, version: str, *, by: str) -> None:
        """Take a checkpoint out of what may be promoted; a later `activate` by name brings it back.

        Raises:
            NotFound: there is no such checkpoint.
            Conflict: it is active.
            PointerUnavailable: the other replicas cannot be told now.
        """
        async with self.one_at_a_time:
            record = self._lifecycle.get(version)
            if record.state in (State.RETIRED, State.DRAINING):
                return
            if record.state is State.ACTIVE:
                raise Conflict(f"{version} is active; activate another first, or roll back")
            entry = self._entry("retire", record, by, self._replicas.generation)
            if record.digest is not None:
                await self._replicas.store.retire(record.digest, entry)
            self._lifecycle.move(record, State.RETIRED, "by_hand")
            _tell(entry)

    async def bring_up(
        self, record: CheckpointRecord, *, by: str, action: Action, force: bool, digest: str | None = None
    ) -> None:
        """Prepare a checkpoint, move the pointer to it, and flip; with a shadow, a promotion waits there first.

        Raises:
            CheckpointRejected: it failed a check.
            Conflict, EngineUnavailable, PointerUnavailable: as `activate`.
        """
        judge = None if record.state is State.ACTIVE else await self._prepare(record, digest, force=force)
        if judge is not None and action == "promote" and self._shadow.settings.share and self.active_record is not None:
            self._lifecycle.move(record, State.SHADOW)
            self._shadow.begin(record, judge)
            return
        await self._move_and_flip(record, judge, by=by, action=action, force=force)

    async def decide_shadow(self, *, by: str | None) -> None:
        """Once it was given enough replies: refuse the candidate, or have `by` promote it; None leaves it to a hand.

        Raises:
            Conflict, PointerUnavailable: as `activate`; it stays in shadow, and the next round decides again.
        """
        record, judge = self._shadow.candidate, self._shadow.judge
        if record is None or judge is None or record.state is not State.SHADOW:
            self._shadow.end()
            return
        if not self._shadow.enough:
            return
        if (against := self._shadow.objection()) is not None:
            self._shadow.end()
            self._lifecycle.move(record, State.REJECTED, Reason.SHADOW_DISAGREES, against)
        elif by is not None:
            pointer = await self._move_pointer(record, by=by, action="promote", force=False)
            self._take(record, judge, pointer)
            self._shadow.end()

    async def _move_and_flip(
        self, record: CheckpointRecord, judge: ServedJudge | None, *, by: str, action: Action, force: bool
    ) -> None:
        try:
            pointer = await self._move_pointer(record, by=by, action=action, force=force)
        except ServiceError as error:
            if judge is not None:
                self._lifecycle.move(record, State.VERIFIED, "not_switched", error.detail)
            raise
        self._take(record, judge, pointer)

    def _take(self, record: CheckpointRecord, judge: ServedJudge | None, pointer: Pointer) -> None:
        """Serve what the pointer, moved by this replica, says; no judge means that it is served already."""
        if judge is not None:
            self._flip(record, judge)
        self._replicas.followed = pointer
        self.trouble = None

    async def follow(self, record: CheckpointRecord, pointer: Pointer) -> None:
        """Serve what the pointer, moved by another replica or before a restart, says.

        Raises:
            CheckpointRejected, EngineUnavailable: it cannot be served here.
        """
        if record.state is not State.ACTIVE or record.digest != pointer.target.digest:
            self._flip(record, await self._prepare(record, pointer.target.digest, force=True))
        self._replicas.followed = pointer
        self.trouble = None

    async def fall_back_to_base(self) -> None:
        """Let the bare base model judge: there is no checkpoint to serve, and answers say so.

        Raises:
            EngineUnavailable: no engine serves it.
        """
        self._serve(await self._base.load(Deadline.after(_PROBE_S)))

    def report(self) -> ReplicaReport:
        """Return what this replica serves, and which adapters it needs loaded."""
        current = self._judges.current
        holds = {record.label for record in self._lifecycle if record.state in NEEDS_ENGINE}
        holds |= {label for label in self._fleet.loaded if self._judges.in_flight(label)} | {self._claimed}
        return ReplicaReport(
            replica=self.replica,
            generation=self._replicas.generation,
            serving=current.label if current else None,
            holds=tuple(sorted(label for label in holds if label is not None)),
            engines=self._fleet.serves(current.model) if current else {},
            trouble=self.trouble,
        )

    async def _prepare(self, record: CheckpointRecord, digest: str | None, *, force: bool) -> ServedJudge:
        """Verify, load and prove; `digest` is the content that is meant, where that is known."""
        if (shadowing := self._shadow.candidate) is not None:
            self._shadow.end()
            if shadowing is not record and shadowing.state is State.SHADOW:
                self._lifecycle.move(shadowing, State.VERIFIED, "superseded", f"{record.version} came")
        checkpoint = await self._preparation.verify(record)
        manifest = checkpoint.manifest
        if digest is not None and manifest.digest != digest:
            detail = "the folder holds another content than the one that was activated"
            raise self._rejected(record, Reason.DIGEST_MISMATCH, detail)
        if not manifest.promotable and not force:
            detail = manifest.not_promotable_because or "its manifest says so"
            raise self._rejected(record, Reason.NOT_PROMOTABLE, f"{detail}; `force` activates it all the same")
        base = await self._base.load(Deadline.after(_PROBE_S))
        # Announced before it is loaded, so that no replica that shares an engine unloads it under our feet.
        self._claimed = manifest.adapter_name
        try:
            await self._replicas.exchange(self.report())
            return await self._preparation.load_and_prove(record, checkpoint, base, self._judges.current or base)
        finally:
            self._claimed = None

    async def _move_pointer(self, record: CheckpointRecord, *, by: str, action: Action, force: bool) -> Pointer:
        """Name the record in the pointer, building on what the store holds now."""
        if record.checkpoint is None:
            raise Conflict(f"{record.version} is not verified")
        manifest = record.checkpoint.manifest
        target = PointerTarget(version=manifest.version, digest=manifest.digest)
        present = (await self._replicas.store.read()).pointer
        if present is not None and present.target == target:
            return present
        pointer = predecessor(present) if action == "rollback" else successor(present, target)
        if pointer.target != target or (action == "begin" and present is not None):
            raise Conflict("another change of the active checkpoint came first; look at it, then try again")
        forced = force and action == "activate" and not manifest.promotable
        entry = self._entry(action, record, by, pointer.generation, forced=forced)
        await self._replicas.store.advance(pointer, entry)
        _tell(entry)
        return pointer

    def _flip(self, record: CheckpointRecord, judge: ServedJudge) -> None:
        """Give new requests to `judge` from here on; those in flight finish on the old one."""
        previous = self.active_record
        self._serve(judge)
        self._lifecycle.move(record, State.ACTIVE)
        if previous is not None:
            self._lifecycle.move(previous, State.DRAINING)

    def _serve(self, judge: ServedJudge) -> None:
        self._judges.switch(judge)
        self._metrics.show_active(judge.label)

    def _rejected(self, record: CheckpointRecord, reason: Reason, detail: str) -> CheckpointRejected:
        self._lifecycle.move(record, State.REJECTED, reason, detail)
        return CheckpointRejected(reason, detail)

    def _entry(
        self, action: str, record: CheckpointRecord, by: str, generation: int, *, forced: bool = False
    ) -> AuditEntry:
        return AuditEntry(
            at=datetime.now(UTC),
            action=action,
            version=record.version,
            digest=record.digest,
            by=by,
            replica=self.replica,
            generation=generation,
            forced=forced,
        )


def _tell(entry: AuditEntry) -> None:
    _audit.info("checkpoint_audit", **entry.model_dump(mode="json"))
