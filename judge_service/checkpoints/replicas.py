"""What the replicas share, as this one knows it: the pointer, retired contents, and each other's reports.

The beat never waits for a load or a canary, so a replica at work is never taken for a dead one.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from judge_service.checkpoints.pointer import PointerStore, PointerUnavailable, Shared
from services.contracts.checkpoints import Pointer, ReplicaReport

_log = structlog.get_logger(__name__)


class Replicas:
    """This replica's link to the others.

    Attributes:
        store: where the pointer lives.
        shared: what was read last; None until the store answered once.
        reachable: whether it answered just now.
        reports: of all replicas, as of then.
        followed: the pointer that this replica serves by; kept here so that a store that lost it gets it back.
        changed: set when `shared` changed.
    """

    def __init__(self, store: PointerStore, *, poll_s: float) -> None:
        self.store = store
        self.shared: Shared | None = None
        self.reachable = False
        self.reports: Sequence[ReplicaReport] = ()
        self.followed: Pointer | None = None
        self.changed = asyncio.Event()
        self._poll_s = poll_s

    @property
    def generation(self) -> int:
        """Generation of the pointer followed, 0 for none."""
        return self.followed.generation if self.followed else 0

    async def beat(self, report: Callable[[], ReplicaReport]) -> None:
        """Exchange every `poll_s` seconds, for ever."""
        while True:
            await self.exchange(report())
            await asyncio.sleep(self._poll_s)

    async def exchange(self, report: ReplicaReport) -> None:
        """Read what is shared, put back a pointer that the store has lost, and swap reports.

        A store that does not answer changes nothing but `reachable`.
        """
        try:
            shared = await self._read()
            self.reports = await self.store.exchange(report)
        except PointerUnavailable as error:
            if self.reachable or self.shared is None:
                _log.warning("pointer_unreachable", store=self.store.name, detail=error.detail)
            self.reachable = False
            return
        if not self.reachable:
            _log.info("pointer_reachable", store=self.store.name)
        if shared != self.shared:
            self.changed.set()
        self.shared, self.reachable = shared, True

    def held_elsewhere(self, label: str, replica: str) -> bool:
        """Return whether a replica other than `replica` needs an adapter."""
        return any(label in report.holds for report in self.reports if report.replica != replica)

    async def _read(self) -> Shared:
        shared = await self.store.read()
        stored = shared.pointer.generation if shared.pointer else 0
        if self.followed is None or stored >= self.followed.generation:
            return shared
        if await self.store.restore(self.followed):
            _log.warning("pointer_restored", store=self.store.name, generation=self.followed.generation, lost=stored)
        return await self.store.read()
