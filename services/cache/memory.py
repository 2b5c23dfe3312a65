"""The cache port inside one process: the least recently used values go first when the bytes run out.

What a service uses when no Redis is configured, with the same contract. Nothing is shared with other processes.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    expires_at_s: float


class InProcessCache:
    """Bytes in this process, `max_bytes` of keys and values at most."""

    name: Final = "memory"

    def __init__(self, max_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, key: str) -> bytes | None:
        """Return the value or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at_s <= self._clock():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store for `ttl_s` seconds; a value larger than the whole cache is not kept."""
        if key in self._entries:
            self._forget(key)
        if _size(key, value) > self._max_bytes:
            return
        self._entries[key] = _Entry(value, self._clock() + ttl_s)
        self._bytes += _size(key, value)
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    @asynccontextmanager
    async def lock(self, key: str, *, ttl_s: float, wait_s: float) -> AsyncIterator[bool]:
        """Hold the lock over the block. A holder in this process cannot die without releasing it: `ttl_s` bounds the wait only."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(min(wait_s, ttl_s)):
                acquired = await lock.acquire()
        except TimeoutError:
            acquired = False
        try:
            yield acquired
        finally:
            if acquired:
                lock.release()
                self._drop_if_idle(key, lock)

    async def ping(self) -> bool:
        """Return True: it is here."""
        return True

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _forget(self, key: str) -> None:
        self._bytes -= _size(key, self._entries.pop(key).value)

    def _drop_if_idle(self, key: str, lock: asyncio.Lock) -> None:
        # A lock that was just released to a waiter is not marked locked yet; asyncio keeps its waiters private, so they are counted here.
        if not lock.locked() and not self._waiting(lock):
            self._locks.pop(key, None)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value)
