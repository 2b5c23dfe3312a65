"""The parts of hot loading put together: what `app` starts with the service and what the routes ask."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import structlog

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.base import BaseJudge
from judge_service.checkpoints.catalogue import Catalogue
from judge_service.checkpoints.engines import EngineFleet
from judge_service.checkpoints.inventory import Inventory
from judge_service.checkpoints.lifecycle import Lifecycle
from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.checkpoints.mirror import Mirror
from judge_service.checkpoints.pointer import PointerStore
from judge_service.checkpoints.preparation import Preparation
from judge_service.checkpoints.registry import Registry
from judge_service.checkpoints.replicas import Replicas
from judge_service.checkpoints.servable import ServableCheckpoints
from judge_service.checkpoints.shadow import Shadow
from judge_service.checkpoints.switch import Switch
from judge_service.checkpoints.upkeep import Upkeep
from judge_service.settings import CanarySettings, CheckpointSettings
from services.deadline import Deadline
from services.errors import DeadlineExceeded

FIRST_PULL_S: Final = 120.0
"""What a start waits for the remote registry before it makes do with what was pulled before."""
_log = structlog.get_logger(__name__)


class HotLoading:
    """Hot loading of one replica; `running` runs it, `finish` carries out what the API asks for."""

    def __init__(
        self,
        settings: CheckpointSettings,
        canary: CanarySettings,
        *,
        replica: str,
        registry: Registry,
        store: PointerStore,
        servable: ServableCheckpoints,
        fleet: EngineFleet,
        judges: ActiveJudge,
        base: BaseJudge,
        shadow: Shadow,
        metrics: CheckpointMetrics,
        mirror: Mirror | None = None,
    ) -> None:
        lifecycle = Lifecycle(metrics)
        preparation = Preparation(settings, canary, lifecycle, fleet, servable)
        self.replicas = Replicas(store, poll_s=settings.poll_s)
        self.inventory = Inventory(registry, lifecycle)
        self.switch = Switch(
            replica=replica,
            inventory=self.inventory,
            lifecycle=lifecycle,
            preparation=preparation,
            replicas=self.replicas,
            fleet=fleet,
            judges=judges,
            base=base,
            shadow=shadow,
            metrics=metrics,
        )
        self.upkeep = Upkeep(
            settings,
            inventory=self.inventory,
            lifecycle=lifecycle,
            preparation=preparation,
            switch=self.switch,
            replicas=self.replicas,
            fleet=fleet,
            judges=judges,
            metrics=metrics,
            shadows=shadow.settings.share > 0.0,
        )
        self.catalogue = Catalogue(replica, lifecycle, self.replicas, judges, shadow, mirror)
        self._mirror = mirror
        self._pulled = asyncio.Event()
        self._shadow = shadow
        self._changes: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loops and, at the end, stop them and whatever change is under way."""
        await self.inventory.look(arrivals=False)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.replicas.store.close)
            loops = [
                self.replicas.beat(self.switch.report),
                self._after_first_pull(self.upkeep.run),
                self._after_first_pull(self.inventory.watch),
                self._pull(),
            ]
            tasks = [asyncio.create_task(loop) for loop in loops]
            for task in tasks:
                task.add_done_callback(_tell_of_end)
            try:
                yield
            finally:
                self._shadow.end()
                await _stop([*tasks, *self._changes])

    async def _pull(self) -> None:
        """Keep a remote registry mirrored; with none, there is nothing to wait for."""
        if self._mirror is None:
            self._pulled.set()
            return
        self.switch.trouble = "the remote registry is being pulled"
        mirroring = asyncio.create_task(self._mirror.run())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_PULL_S):
                    await self._mirror.settled.wait()
            self.switch.trouble = None
            await self.inventory.look(arrivals=False)
            self._pulled.set()
            await mirroring
        finally:
            mirroring.cancel()

    async def _after_first_pull(self, loop: Callable[[], Awaitable[None]]) -> None:
        await self._pulled.wait()
        await loop()

    async def finish(self, change: Coroutine[None, None, None], deadline: Deadline) -> None:
        """Carry out a change to its end, whoever goes away meanwhile.

        Raises:
            DeadlineExceeded: it goes on, but takes longer than the caller can wait; GET /checkpoints shows how far.
        """
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        done, _ = await asyncio.wait({task}, timeout=deadline.shrink(0.5).remaining_s())
        if not done:
            task.add_done_callback(_tell_of_end)
            raise DeadlineExceeded("the change is still under way; GET /checkpoints shows how far it is")
        task.result()


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


def _tell_of_end(task: asyncio.Task[None]) -> None:
    """Log how a task ended that nobody waits for."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("checkpoint_task_failed", exc_info=error)
