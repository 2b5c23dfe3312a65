"""How often a key may ask: a sliding window a key, in Redis so that replicas share it, in the process when Redis is
away.

A rate limit protects; it must not take the service down with it. When Redis does not answer, each process limits on its
own and says so once per outage.
"""

import math
import time
from collections.abc import Sequence
from typing import Final

import structlog
from fastapi import Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from pydantic import SecretStr
from redis.asyncio import ConnectionPool

from services.cache.breaker import CircuitBreaker
from services.cache.redis import connection_pool
from services.errors import RateLimited
from services.web.auth import Principal

_PREFIX: Final = "tl:rate"
_log = structlog.get_logger(__name__)


class RateLimiter:
    """Charges each key against one rate."""

    def __init__(self, rate: str, redis_url: SecretStr | None = None, *, service: str, timeout_s: float = 0.1) -> None:
        """Limit to `rate` (the `limits` notation).

        Raises:
            ValueError: the rate cannot be read.
        """
        self._rate: RateLimitItem = parse(rate)
        self._service = service
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._breaker = CircuitBreaker()
        self._pool: ConnectionPool | None = None
        if redis_url is not None:
            url = redis_url.get_secret_value()
            self._pool = connection_pool(url, timeout_s)
            self._shared = SlidingWindowCounterRateLimiter(_redis_storage(url, self._pool))

    async def charge(self, principal: Principal, cost: int = 1) -> None:
        """Take `cost` from the key's window.

        Raises:
            RateLimited: the window is used up; says when to come back.
        """
        if self._shared is not None and self._breaker.allows():
            try:
                await self._charge(self._shared, principal, cost)
            except StorageError as error:
                if self._breaker.failed():
                    reason = type(error.storage_error).__name__
                    _log.warning("rate_limit_store_unavailable", fallback="in-process limits", reason=reason)
            except RateLimited:
                self._breaker.succeeded()
                raise
            else:
                self._breaker.succeeded()
                return
        await self._charge(self._local, principal, cost)

    async def close(self) -> None:
        """Release connections."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _charge(self, limiter: SlidingWindowCounterRateLimiter, principal: Principal, cost: int) -> None:
        who = (self._service, principal.name)
        # A cost above the whole window would never pass; it takes the whole window instead.
        if await limiter.hit(self._rate, *who, cost=min(cost, self._rate.amount)):
            return
        raise RateLimited(f"the key's rate is {self._rate}; slow down", await self._wait_s(limiter, who))

    async def _wait_s(self, limiter: SlidingWindowCounterRateLimiter, who: Sequence[str]) -> float:
        reset_at_s: float = (await limiter.get_window_stats(self._rate, *who)).reset_time
        return max(1.0, math.ceil(reset_at_s - time.time()))


async def charge(request: Request, cost: int) -> None:
    """Charge the caller of `request` for `cost` more than the one request already charged (a batch's items)."""
    limiter: RateLimiter = request.app.state.rate_limiter
    if cost > 0:
        await limiter.charge(request.state.principal, cost)


def _redis_storage(url: str, pool: ConnectionPool) -> RedisStorage:
    return RedisStorage(
        f"async+{url}", wrap_exceptions=True, implementation="redispy", key_prefix=_PREFIX, connection_pool=pool
    )
