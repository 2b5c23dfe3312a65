"""A cache whose operations are counted and timed; otherwise the cache it wraps."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.cache.port import Cache
from services.errors import CacheUnavailable
from services.telemetry.metrics import PlatformMetrics


class MeteredCache:
    """Counts hits, misses, stores, locks and errors of `cache`."""

    def __init__(self, cache: Cache, metrics: PlatformMetrics) -> None:
        self._cache = cache
        self._operations = metrics.cache_operations
        self._seconds = metrics.cache_seconds

    @property
    def name(self) -> str:
        """Return the wrapped cache's name."""
        return self._cache.name

    async def get(self, key: str) -> bytes | None:
        """Return the value or None; raise CacheUnavailable."""
        began_s = time.perf_counter()
        try:
            value = await self._cache.get(key)
        except CacheUnavailable:
            self._count("get", "error", began_s)
            raise
        self._count("get", "miss" if value is None else "hit", began_s)
        return value

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store for `ttl_s` seconds; raise CacheUnavailable."""
        began_s = time.perf_counter()
        try:
            await self._cache.set(key, value, ttl_s)
        except CacheUnavailable:
            self._count("set", "error", began_s)
            raise
        self._count("set", "stored", began_s)

    @asynccontextmanager
    async def lock(self, key: str, *, ttl_s: float, wait_s: float) -> AsyncIterator[bool]:
        """Hold the lock over the block; the time counted is the wait for it."""
        began_s = time.perf_counter()
        async with self._cache.lock(key, ttl_s=ttl_s, wait_s=wait_s) as acquired:
            self._count("lock", "acquired" if acquired else "not_acquired", began_s)
            yield acquired

    async def ping(self) -> bool:
        """Return whether the cache answers now."""
        return await self._cache.ping()

    async def close(self) -> None:
        """Release connections."""
        await self._cache.close()

    def _count(self, op: str, outcome: str, began_s: float) -> None:
        self._operations.labels(self.name, op, outcome).inc()
        self._seconds.labels(self.name, op).observe(time.perf_counter() - began_s)
