"""Keeps the parts of a stack running: starts them in order, restarts what crashes, stops all of them.

A part starts once the part before it is ready. Before its first readiness a failure is final, since it would only
repeat; after it, a crash is followed by a restart with growing pauses, and by giving up when crashes come too often.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.stack.errors import PartFailedError
from services.stack.events import OnEvent, PartCrashed, PartLog, PartReady, PartStarting, PartStopped
from services.stack.part import Part, wait_until_ready
from services.stack.process import PartProcess


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """How crashes are answered."""

    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    most_crashes: int = 5
    """Crashes in a row before the stack gives up."""
    healthy_after_s: float = 60.0
    """A part that ran this long is forgiven its earlier crashes."""
    stop_grace_s: float = 15.0
    """How long a part may take to finish what it has begun."""

    def pause_s(self, crashes: int) -> float:
        """Return the pause before the restart that follows the `crashes`-th crash in a row (from 1)."""
        return float(min(self.first_pause_s * 2 ** (crashes - 1), self.longest_pause_s))


class Supervisor:
    """Runs parts until its work is done."""

    def __init__(self, on_event: OnEvent, policy: RestartPolicy) -> None:
        self._on_event = on_event
        self._policy = policy

    async def run(self, parts: Sequence[Part], work: Callable[[], Awaitable[None]]) -> None:
        """Start `parts` in order, do `work`, then stop them in reverse order, also when cancelled.

        Raises:
            PartFailedError: a part did not become ready, or crashed too often.
        """
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as running:
            for part in parts:
                await _first(self._start(part, running, failed), failed)
            await _first(work(), failed)

    async def _start(self, part: Part, running: AsyncExitStack, failed: "asyncio.Future[None]") -> None:
        keeper = _Keeper(part, self._on_event, self._policy)
        task = asyncio.create_task(keeper.keep())
        running.push_async_callback(_cancel, task)
        task.add_done_callback(lambda done: _report(done, failed))
        await keeper.ready.wait()


class _Keeper:
    """Keeps one part running until cancelled."""

    def __init__(self, part: Part, on_event: OnEvent, policy: RestartPolicy) -> None:
        self._part = part
        self._on_event = on_event
        self._policy = policy
        self.ready = asyncio.Event()

    async def keep(self) -> None:
        loop = asyncio.get_running_loop()
        crashes = 0
        while True:
            started_s = loop.time()
            exit_status = await self._run_once()
            if not self.ready.is_set():
                raise PartFailedError(
                    f"{self._part.name} ended with status {exit_status} before it was ready: see its log"
                )
            crashes = 1 if loop.time() - started_s >= self._policy.healthy_after_s else crashes + 1
            if crashes > self._policy.most_crashes:
                raise PartFailedError(f"{self._part.name} crashed {crashes} times in a row: see its log above")
            pause_s = self._policy.pause_s(crashes)
            self._on_event(PartCrashed(self._part.name, exit_status, pause_s))
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> int:
        """Run the part until its process ends, or stop it when it does not become ready; return its exit status."""
        name, loop = self._part.name, asyncio.get_running_loop()
        started_s = loop.time()
        process = await PartProcess.start(self._part, lambda line: self._on_event(PartLog(name, line)))
        self._on_event(PartStarting(name))
        try:
            if await wait_until_ready(
                self._part.probe, timeout_s=self._part.start_timeout_s, is_alive=lambda: process.is_alive
            ):
                self._on_event(PartReady(name, loop.time() - started_s))
                self.ready.set()
                return await process.ended()
            timed_out = process.is_alive
            await process.stop(self._policy.stop_grace_s)
            if timed_out and not self.ready.is_set():
                raise PartFailedError(f"{name} was not ready within {self._part.start_timeout_s:.0f} s: see its log")
            return await process.ended()
        except asyncio.CancelledError:
            await process.stop(self._policy.stop_grace_s)
            self._on_event(PartStopped(name))
            raise


async def _first(work: Awaitable[None], failed: "asyncio.Future[None]") -> None:
    """Await `work`, unless a part fails first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, failed}, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        await task
    finally:
        await _cancel(task)


async def _cancel(task: "asyncio.Future[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _report(done: "asyncio.Task[None]", failed: "asyncio.Future[None]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None and not failed.done():
        failed.set_exception(error)
