"""The pointer: what all replicas should serve, as one value that changes in one step; and its port.

A change names the generation that it builds on, so of two changes at once one wins and the other is told. Generations
only rise, and no clock decides anything. What is kept beside it: who changed what, which contents operators retired,
and what each replica last reported.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.contracts.checkpoints import AuditEntry, Pointer, PointerTarget, ReplicaReport
from services.errors import Conflict, DependencyUnavailable

AUDIT_KEPT: Final = 200
TRAIL_KEPT: Final = 16


class PointerUnavailable(DependencyUnavailable):
    """The pointer cannot be read or changed now. What is active stays active."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What replicas share: the pointer, and digests of contents that an operator retired."""

    pointer: Pointer | None
    retired: frozenset[str]


class PointerStore(Protocol):
    """Where the pointer lives. Every method raises PointerUnavailable when it does not answer."""

    @property
    def name(self) -> str:
        """`redis` or `process`."""

    async def read(self) -> Shared:
        """Return what replicas share now."""

    async def advance(self, pointer: Pointer, entry: AuditEntry) -> None:
        """Replace the pointer by one whose generation is one above the present one's, and note who did it.

        Raises:
            Conflict: another change came first.
        """

    async def restore(self, pointer: Pointer) -> bool:
        """Put back a pointer that the store has lost; return False when it holds one as new or newer."""

    async def retire(self, digest: str, entry: AuditEntry) -> None:
        """Note that an operator retired a content."""

    async def exchange(self, report: ReplicaReport) -> Sequence[ReplicaReport]:
        """Leave this replica's report and return all that are fresh, this one's included."""

    async def audit(self, limit: int) -> Sequence[AuditEntry]:
        """Return the latest entries, the latest first."""

    async def close(self) -> None:
        """Release connections."""


def successor(current: Pointer | None, target: PointerTarget) -> Pointer:
    """Return the pointer that moves on from `current` to `target`."""
    if current is None:
        return Pointer(generation=1, target=target)
    trail = (*current.trail, current.target)[-TRAIL_KEPT:]
    return Pointer(generation=current.generation + 1, target=target, trail=trail)


def predecessor(current: Pointer | None) -> Pointer:
    """Return the pointer that goes back to what was served before.

    Raises:
        Conflict: nothing was.
    """
    if current is None or not current.trail:
        raise Conflict("there is no earlier checkpoint to roll back to; activate one by name")
    return Pointer(generation=current.generation + 1, target=current.trail[-1], trail=current.trail[:-1])


class InProcessPointer:
    """The store of a single judge without Redis: it lives as long as the process."""

    name: Final = "process"

    def __init__(self) -> None:
        self._pointer: Pointer | None = None
        self._retired: set[str] = set()
        self._audit: deque[AuditEntry] = deque(maxlen=AUDIT_KEPT)

    async def read(self) -> Shared:
        """Return what is held."""
        return Shared(self._pointer, frozenset(self._retired))

    async def advance(self, pointer: Pointer, entry: AuditEntry) -> None:
        """Replace the pointer; see the port."""
        present = self._pointer.generation if self._pointer else 0
        if pointer.generation != present + 1:
            raise Conflict("another change of the active checkpoint came first; look at it, then try again")
        self._pointer = pointer
        self._retired.discard(pointer.target.digest)
        self._audit.appendleft(entry)

    async def restore(self, pointer: Pointer) -> bool:
        """Take it when it is newer."""
        if self._pointer is not None and self._pointer.generation >= pointer.generation:
            return False
        self._pointer = pointer
        return True

    async def retire(self, digest: str, entry: AuditEntry) -> None:
        """Note it."""
        self._retired.add(digest)
        self._audit.appendleft(entry)

    async def exchange(self, report: ReplicaReport) -> Sequence[ReplicaReport]:
        """Return the report itself: there is no other replica."""
        return (report,)

    async def audit(self, limit: int) -> Sequence[AuditEntry]:
        """Return the latest entries."""
        return tuple(self._audit)[:limit]

    async def close(self) -> None:
        """Nothing is open."""
