"""The cache port: bytes by key for a time, and a lock that expires by itself.

Adapters raise `CacheUnavailable`, never a library's own error. A cache is an optimisation: no caller may depend on it
for being right.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Cache(Protocol):
    """Bytes by key, each with a time to live."""

    @property
    def name(self) -> str:
        """Return what metrics, logs and readiness call it: `redis` or `memory`."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return the value, or None when there is none or it has expired.

        Raises:
            CacheUnavailable: the cache does not answer.
        """
        ...

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store the value for `ttl_s` seconds (> 0).

        Raises:
            CacheUnavailable: the cache does not answer.
        """
        ...

    def lock(self, key: str, *, ttl_s: float, wait_s: float) -> AbstractAsyncContextManager[bool]:
        """Hold a lock over the block; it yields whether it was acquired and raises nothing of its own.

        False means that another holder kept it for all of `wait_s`, or that the cache does not answer: go on without.
        The lock ends by itself after `ttl_s`, so that a holder which dies blocks nobody for longer.
        """
        ...

    async def ping(self) -> bool:
        """Return whether the cache answers now."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
