"""What this replica knows of checkpoints, as the API shows it."""

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.lifecycle import CheckpointRecord, Lifecycle
from judge_service.checkpoints.mirror import Mirror
from judge_service.checkpoints.pointer import PointerUnavailable
from judge_service.checkpoints.replicas import Replicas
from judge_service.checkpoints.shadow import Shadow
from services.contracts.checkpoints import CheckpointList, CheckpointView

_AUDIT_SHOWN = 50


class Catalogue:
    """Renders records and the shared state."""

    def __init__(
        self,
        replica: str,
        lifecycle: Lifecycle,
        replicas: Replicas,
        judges: ActiveJudge,
        shadow: Shadow,
        mirror: Mirror | None,
    ) -> None:
        self._replica = replica
        self._lifecycle = lifecycle
        self._replicas = replicas
        self._judges = judges
        self._shadow = shadow
        self._mirror = mirror

    async def all(self) -> CheckpointList:
        """Return everything; the pointer is read anew, and said to be unreachable when it is."""
        store = self._replicas.store
        try:
            pointer, audit, reachable = (await store.read()).pointer, await store.audit(_AUDIT_SHOWN), True
        except PointerUnavailable:
            pointer, audit, reachable = self._replicas.followed, (), False
        current = self._judges.current
        return CheckpointList(
            active=current.label if current else None,
            replica=self._replica,
            pointer=pointer,
            pointer_store=store.name,
            pointer_reachable=reachable,
            registry_trouble=self._mirror.trouble if self._mirror else None,
            checkpoints=tuple(self._view(record) for record in self._lifecycle),
            replicas=tuple(sorted(self._replicas.reports, key=lambda report: report.replica)),
            audit=tuple(audit),
        )

    def one(self, version: str) -> CheckpointView:
        """Return one checkpoint; raise NotFound."""
        return self._view(self._lifecycle.get(version))

    def _view(self, record: CheckpointRecord) -> CheckpointView:
        manifest = record.checkpoint.manifest if record.checkpoint else None
        return CheckpointView(
            version=record.version,
            label=record.label,
            digest=record.digest,
            state=record.state,
            reason=record.reason,
            detail=record.detail,
            present=record.present,
            promotable=manifest.promotable if manifest else None,
            not_promotable_because=manifest.not_promotable_because if manifest else None,
            base_model=manifest.base_model.name if manifest else None,
            lora_rank=manifest.lora_rank if manifest else None,
            training_method=manifest.training.method if manifest else None,
            metrics=manifest.metrics if manifest else {},
            in_flight=self._judges.in_flight(record.label) if record.label else 0,
            shadow=self._shadow.report() if self._shadow.candidate is record else None,
            history=tuple(record.history),
        )
