"""A checkpoint's way from a folder to an adapter that is loaded and proven on every engine that is up.

Nothing here touches what is active. Whatever fails leaves the record `rejected` with a typed reason, or `verified`
when it was the engine that went away.
"""

from dataclasses import replace
from pathlib import Path

import structlog

from judge_service.checkpoints.canary import run_canary
from judge_service.checkpoints.engines import EngineFleet, Member
from judge_service.checkpoints.lifecycle import CheckpointRecord, Lifecycle
from judge_service.checkpoints.servable import ServableCheckpoints
from judge_service.served import ServedJudge
from judge_service.settings import CanarySettings, CheckpointSettings
from services.checkpoint.errors import CheckpointRejected
from services.checkpoint.folder import VerifiedCheckpoint
from services.contracts.checkpoints import CheckpointState as State
from services.contracts.checkpoints import RejectionReason as Reason
from services.deadline import Deadline
from services.errors import EngineMalformed, EngineUnavailable, NotFound, ServiceError

ENGINE_UNAVAILABLE = "engine_unavailable"
_log = structlog.get_logger(__name__)


class Preparation:
    """Takes checkpoints through verification, loading and canary."""

    def __init__(
        self,
        settings: CheckpointSettings,
        canary: CanarySettings,
        lifecycle: Lifecycle,
        fleet: EngineFleet,
        servable: ServableCheckpoints,
    ) -> None:
        self._settings = settings
        self._canary = canary
        self._lifecycle = lifecycle
        self._fleet = fleet
        self._servable = servable

    async def verify(self, record: CheckpointRecord) -> VerifiedCheckpoint:
        """Read and check the folder.

        Raises:
            CheckpointRejected: it must not be served; the record says why.
        """
        self._lifecycle.move(record, State.VERIFYING)
        try:
            checkpoint = await self._servable.verify(record.path)
        except CheckpointRejected as error:
            self._lifecycle.move(record, State.REJECTED, error.reason, error.detail)
            raise
        record.checkpoint = checkpoint
        self._lifecycle.move(record, State.VERIFIED)
        return checkpoint

    async def load_and_prove(
        self,
        record: CheckpointRecord,
        checkpoint: VerifiedCheckpoint,
        base: ServedJudge,
        active: ServedJudge,
    ) -> ServedJudge:
        """Load a verified checkpoint on every engine that is up, prove it on each, and return its judge.

        `active` is who answers now, `base` who answers without any adapter; the checkpoint must be neither.

        Raises:
            CheckpointRejected: an engine refuses it, or its canary failed.
            EngineUnavailable: no engine is left that serves it.
        """
        judge = self._servable.judge_of(checkpoint, base.model)
        try:
            self._lifecycle.move(record, State.LOADING)
            loaded = [member for member in self._fleet.members if member.up and await self._load(member, record, judge)]
            self._lifecycle.move(record, State.CANARY)
            for member in loaded:
                control = active if self._fleet.serves(active.model)[member.name] else base
                await self.prove(member, judge, checkpoint, control)
            # Listed still? Another replica may have let go of the same adapter meanwhile.
            await self._fleet.refresh(self._deadline())
            if not any(self._fleet.serves(judge.model).values()):
                raise EngineUnavailable(f"no engine serves {judge.label}")
        except CheckpointRejected as error:
            self._lifecycle.move(record, State.REJECTED, error.reason, error.detail)
            raise
        except ServiceError as error:
            self._lifecycle.move(record, State.VERIFIED, ENGINE_UNAVAILABLE, error.detail)
            raise
        return judge

    async def prove(
        self, member: Member, judge: ServedJudge, checkpoint: VerifiedCheckpoint, control: ServedJudge
    ) -> None:
        """Run the canary on one engine and let requests reach it; an engine that is gone is only passed over.

        Raises:
            CheckpointRejected: the canary failed.
        """
        try:
            result = await run_canary(member.engine, judge, checkpoint.golden, control, self._canary)
        except EngineUnavailable as error:
            _log.warning("engine_left_out", engine=member.name, checkpoint=judge.label, detail=error.detail)
            return
        self._fleet.prove(member, judge.model)
        _log.info(
            "canary_passed",
            checkpoint=judge.label,
            engine=member.name,
            cases=result.cases,
            largest_miss=round(result.largest_miss, 3),
            case_s=round(result.case_s, 3),
        )

    async def restore_on(
        self,
        member: Member,
        record: CheckpointRecord,
        judge: ServedJudge,
        checkpoint: VerifiedCheckpoint,
    ) -> None:
        """Load and prove the active checkpoint on an engine that came back without it.

        Raises:
            CheckpointRejected: the engine refuses it, or its canary failed there.
        """
        if await self._load(member, record, judge):
            base = replace(judge, label=judge.base_model, model=judge.base_model)
            await self.prove(member, judge, checkpoint, base)

    async def _load(self, member: Member, record: CheckpointRecord, judge: ServedJudge) -> bool:
        """Load on one engine; return False when that engine is gone."""
        try:
            await self._fleet.load_on(member, judge.model, str(self._engine_path(record)), self._deadline())
        except (EngineMalformed, NotFound) as error:
            raise CheckpointRejected(Reason.ENGINE_REFUSED, error.detail) from error
        except EngineUnavailable as error:
            _log.warning("engine_left_out", engine=member.name, checkpoint=judge.label, detail=error.detail)
            return False
        return True

    def _engine_path(self, record: CheckpointRecord) -> Path:
        root = self._settings.engine_folder
        return record.path.absolute() if root is None else root / record.version

    def _deadline(self) -> Deadline:
        return Deadline.after(self._settings.load_timeout_s)
