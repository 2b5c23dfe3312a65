"""How many requests this process has at the engine, and how many may wait: more than that is refused, not queued."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.errors import Overloaded


class Slots:
    """`max_concurrency` holders at once and `max_queue` waiters, served in order."""

    def __init__(self, max_concurrency: int, max_queue: int) -> None:
        self._semaphore = asyncio.Semaphore(max_concurrency)
        self._max_queue = max_queue
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot over the block.

        Raises:
            Overloaded: `max_queue` others wait already.
        """
        if self._semaphore.locked() and self._waiting >= self._max_queue:
            raise Overloaded("the model server has too many requests waiting; try again shortly")
        self._waiting += 1
        try:
            await self._semaphore.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._semaphore.release()
