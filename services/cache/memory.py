"""The cache port inside one process: the least recently used values go first when the bytes run out.

What a service uses when no Redis is configured, with the same contract. Nothing is shared with other processes.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    expires_at_s: float


@dataclass(slots=True)
class _CountedLock:
    """A lock with the number of those who hold it or wait for it: at zero it is dropped."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class InProcessCache:
    """Bytes in this process, `max_bytes` of keys and values at most."""

    name: Final = "memory"

    def __init__(self, max_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._locks: dict[str, _CountedLock] = {}

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
        """Hold the lock over the block. A holder in this process always releases it: `ttl_s` only bounds the wait."""
        counted = self._locks.setdefault(key, _CountedLock())
        counted.users += 1
        acquired = False
        try:
            acquired = await _acquire(counted.lock, min(wait_s, ttl_s))
            yield acquired
        finally:
            if acquired:
                counted.lock.release()
            counted.users -= 1
            if counted.users == 0:
                del self._locks[key]

    async def ping(self) -> bool:
        """Return True: it is here."""
        return True

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _forget(self, key: str) -> None:
        self._bytes -= _size(key, self._entries.pop(key).value)


async def _acquire(lock: asyncio.Lock, wait_s: float) -> bool:
    try:
        async with asyncio.timeout(wait_s):
            return await lock.acquire()
    except TimeoutError:
        return False


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value)
