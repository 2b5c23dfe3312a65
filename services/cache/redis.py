"""The cache port on Redis (or Valkey): short timeouts, no retries, and a circuit breaker.

A Redis that is gone costs one timeout per outage and trial, then microseconds: the breaker answers in its stead. Every
library error becomes `CacheUnavailable` here and nowhere else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockNotOwnedError, RedisError

from services.cache.breaker import CircuitBreaker
from services.errors import CacheUnavailable

T = TypeVar("T")
_LOCK_POLL_S: Final = 0.02
_log = structlog.get_logger(__name__)


def connection_pool(url: str, timeout_s: float) -> ConnectionPool:
    """Return a pool whose every step gives up after `timeout_s` and is not tried again:

    retrying is the breaker's business.
    """
    return ConnectionPool.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class RedisCache:
    """Bytes in Redis."""

    name: Final = "redis"

    def __init__(self, url: str, *, timeout_s: float = 0.1, breaker: CircuitBreaker | None = None) -> None:
        """Connect to `redis://`, `rediss://` or `unix://` on first use."""
        self._redis = Redis.from_pool(connection_pool(url, timeout_s))
        self._breaker = breaker or CircuitBreaker()

    async def get(self, key: str) -> bytes | None:
        """Return the value or None; raise CacheUnavailable."""
        value = await self._guarded(lambda: self._redis.get(key))
        # The client is built without `decode_responses`: it returns bytes.
        return value.encode() if isinstance(value, str) else value

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store for `ttl_s` seconds; raise CacheUnavailable."""
        await self._guarded(lambda: self._redis.set(key, value, px=max(1, int(ttl_s * 1000))))

    @asynccontextmanager
    async def lock(self, key: str, *, ttl_s: float, wait_s: float) -> AsyncIterator[bool]:
        """Hold Redis's lock over the block; see the port."""
        lock = Lock(self._redis, key, timeout=ttl_s, sleep=_LOCK_POLL_S, thread_local=False)
        try:
            acquired = await self._guarded(lambda: lock.acquire(blocking=True, blocking_timeout=wait_s))
        except CacheUnavailable:
            acquired = False
        try:
            yield bool(acquired)
        finally:
            if acquired:
                await self._release(lock)

    async def ping(self) -> bool:
        """Return whether Redis answers now; asked past the breaker, and closes it when it does."""
        try:
            await self._redis.ping()
        except (RedisError, OSError, TimeoutError):
            return False
        self._breaker.succeeded()
        return True

    async def close(self) -> None:
        """Release connections."""
        await self._redis.aclose()

    async def _release(self, lock: Lock) -> None:
        try:
            await asyncio.shield(self._guarded(lock.release))
        except (LockNotOwnedError, CacheUnavailable):
            # It expired, or Redis went away: the lock ends by itself.
            _log.info("cache_lock_left_to_expire")

    async def _guarded(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run one operation behind the breaker, with Redis's errors translated."""
        if not self._breaker.allows():
            raise CacheUnavailable("the cache does not answer")
        try:
            result = await operation()
        except LockNotOwnedError:
            self._breaker.succeeded()
            raise
        except (RedisError, OSError, TimeoutError) as error:
            if self._breaker.failed():
                _log.warning("cache_unavailable", cache=self.name, reason=type(error).__name__)
            raise CacheUnavailable("the cache does not answer") from error
        if self._breaker.succeeded():
            _log.info("cache_available_again", cache=self.name)
        return result
