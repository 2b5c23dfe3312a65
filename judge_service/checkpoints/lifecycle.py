"""The state machine of checkpoints: which step may follow which, and the one place where a step is taken.

    discovered → verifying → verified → loading → canary → [shadow] → active → draining → retired
    any check fails → rejected;  the engine goes away → back to verified, to be tried again
    rejected and retired may be verified anew, by hand; draining too (a rollback needs no wait)

Every step is logged, counted and timed here. The active checkpoint is left in one direction only: by another's switch.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from judge_service.checkpoints.metrics import CheckpointMetrics
from services.checkpoint.folder import VerifiedCheckpoint
from services.contracts.checkpoints import CheckpointState as State
from services.contracts.checkpoints import CheckpointTransition
from services.errors import Conflict, NotFound

NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.DISCOVERED: frozenset({State.VERIFYING, State.RETIRED}),
    State.VERIFYING: frozenset({State.VERIFIED, State.REJECTED}),
    State.VERIFIED: frozenset({State.VERIFYING, State.LOADING, State.REJECTED, State.RETIRED}),
    State.LOADING: frozenset({State.CANARY, State.VERIFIED, State.REJECTED}),
    State.CANARY: frozenset({State.SHADOW, State.ACTIVE, State.VERIFIED, State.REJECTED}),
    State.SHADOW: frozenset({State.VERIFYING, State.ACTIVE, State.VERIFIED, State.REJECTED, State.RETIRED}),
    State.ACTIVE: frozenset({State.DRAINING}),
    State.DRAINING: frozenset({State.VERIFYING, State.RETIRED}),
    State.RETIRED: frozenset({State.VERIFYING}),
    State.REJECTED: frozenset({State.VERIFYING, State.RETIRED}),
}
NEEDS_ENGINE: Final = frozenset({State.LOADING, State.CANARY, State.SHADOW, State.ACTIVE})
"""States in which the adapter must stay loaded; a draining one must until nobody uses it."""
AS_IT_SHOULD: Final = "ok"
_HISTORY: Final = 20
_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class CheckpointRecord:
    """What this replica knows of one checkpoint. Only `Lifecycle` changes the state."""

    version: str
    path: Path
    present: bool = True
    state: State = State.DISCOVERED
    reason: str | None = None
    detail: str | None = None
    entered_s: float = field(default_factory=time.monotonic)
    checkpoint: VerifiedCheckpoint | None = None
    history: deque[CheckpointTransition] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    @property
    def label(self) -> str | None:
        """The adapter's name in the engine; known once verified."""
        return self.checkpoint.manifest.adapter_name if self.checkpoint else None

    @property
    def digest(self) -> str | None:
        """Digest of the manifest; known once verified."""
        return self.checkpoint.manifest.digest if self.checkpoint else None


class Lifecycle:
    """All records of this replica and the steps between their states."""

    def __init__(self, metrics: CheckpointMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._records: dict[str, CheckpointRecord] = {}
        self._metrics = metrics
        self._clock = clock

    def __iter__(self) -> Iterator[CheckpointRecord]:
        return iter(sorted(self._records.values(), key=lambda record: record.version))

    def get(self, version: str) -> CheckpointRecord:
        """Return the record of a version.

        Raises:
            NotFound: this replica has never seen it.
        """
        if version not in self._records:
            raise NotFound(f"there is no checkpoint {version}; GET /checkpoints lists them")
        return self._records[version]

    def knows(self, version: str) -> bool:
        """Return whether there is a record of a version."""
        return version in self._records

    def discover(self, version: str, path: Path) -> CheckpointRecord:
        """Begin the record of a version that the registry shows for the first time."""
        record = CheckpointRecord(version, path, entered_s=self._clock())
        self._records[version] = record
        self._note(record, State.DISCOVERED, 0.0, None, None)
        return record

    def move(self, record: CheckpointRecord, to: State, reason: str | None = None, detail: str | None = None) -> None:
        """Take one step.

        Raises:
            Conflict: the step is not one of the state machine's.
        """
        if to not in NEXT[record.state]:
            raise Conflict(f"checkpoint {record.version} is {record.state}; from there it cannot become {to}")
        now = self._clock()
        spent_s, left = now - record.entered_s, record.state
        record.state, record.entered_s, record.reason, record.detail = to, now, reason, detail
        self._metrics.stage_seconds.labels(left).observe(spent_s)
        self._note(record, to, spent_s, reason, detail)

    def _note(
        self, record: CheckpointRecord, to: State, spent_s: float, reason: str | None, detail: str | None
    ) -> None:
        transition = CheckpointTransition(to=to, at=datetime.now(UTC), after_s=spent_s, reason=reason, detail=detail)
        record.history.append(transition)
        self._metrics.transitions.labels(to, reason or AS_IT_SHOULD).inc()
        self._metrics.count_states(other.state for other in self._records.values())
        tell = _log.warning if to is State.REJECTED else _log.info
        tell(
            "checkpoint_transition",
            checkpoint=record.label or record.version,
            to=str(to),
            after_s=round(spent_s, 3),
            reason=reason,
            detail=detail,
        )
