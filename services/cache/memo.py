"""Compute each thing once: remembered by content, one computation at a time in the process and across processes.

The order is: the process's own running computations, the cache, the cross-process lock, the cache again, the
computation. Failures are shared with those who wait at that moment and never stored. A cache that is down makes this
slower, never wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from services.cache.sealed import SealedCache
from services.deadline import Deadline
from services.errors import CacheUnavailable, DeadlineExceeded
from services.telemetry.tracing import UNTRACED, Attribute, Tracer

T = TypeVar("T", bound=BaseModel)
_LOCK_WAIT_SHARE: Final = 0.5
"""The share of the remaining time spent waiting for another process; the rest is left for computing after all."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Memoised(Generic[T]):
    """A value, and whether it came without computing it for this caller."""

    value: T
    cached: bool


@dataclass(slots=True)
class _Flight:
    """One running computation and how many wait for it."""

    task: asyncio.Task[Memoised[BaseModel]]
    waiters: int = 0


class ComputeOnce:
    """Remembers what `compute` returned for `ttl_s` seconds."""

    def __init__(
        self, sealed: SealedCache, ttl_s: float, *, lock_ttl_s: float = 30.0, tracer: Tracer = UNTRACED
    ) -> None:
        """`lock_ttl_s` bounds how long a process that died in the middle keeps the others waiting."""
        self._sealed = sealed
        self._ttl_s = ttl_s
        self._lock_ttl_s = lock_ttl_s
        self._tracer = tracer
        self._flights: dict[str, _Flight] = {}

    async def get_or_compute(
        self,
        namespace: str,
        parts: Sequence[str | bytes],
        model: type[T],
        compute: Callable[[], Awaitable[T]],
        deadline: Deadline,
    ) -> Memoised[T]:
        """Return the value of `parts`: all that changes the answer.

        A caller that is cancelled takes nothing from the others: the computation goes on while anyone waits, and is
        cancelled with its last waiter.

        Args:
            namespace: what kind of thing it is, for example `judgment`.
            parts: everything the answer depends on, in a fixed order.
            model: the value's type, as it is stored.
            compute: makes the value; its errors reach every present waiter and are not stored.
            deadline: when this caller stops waiting.

        Raises:
            DeadlineExceeded: time ran out.
        """
        entry = self._sealed.entry(namespace, (model.__qualname__, *parts))
        with self._tracer.span("cache", {Attribute.CACHE_NAMESPACE: namespace}) as span:
            memoised = await self._get_or_compute(entry, model, compute, deadline)
            span.set({Attribute.CACHE_HIT: memoised.cached})
            return memoised

    async def _get_or_compute(
        self, entry: str, model: type[T], compute: Callable[[], Awaitable[T]], deadline: Deadline
    ) -> Memoised[T]:
        while True:
            flight = self._flights.get(entry)
            leads = flight is None
            if flight is None:
                flight = self._start(entry, model, compute, deadline)
            try:
                async with deadline.enforce():
                    done = await self._join(entry, flight)
            except DeadlineExceeded:
                # The leader's time ran out, not ours: compute under our own deadline.
                if leads or deadline.expired:
                    raise
                continue
            if not isinstance(done.value, model):
                raise TypeError(f"computed {type(done.value).__qualname__} where {model.__qualname__} was asked for")
            return Memoised(done.value, done.cached or not leads)

    def _start(self, entry: str, model: type[T], compute: Callable[[], Awaitable[T]], deadline: Deadline) -> _Flight:
        task: asyncio.Task[Memoised[BaseModel]] = asyncio.ensure_future(
            self._look_up_or_compute(entry, model, compute, deadline)
        )
        flight = self._flights[entry] = _Flight(task)
        task.add_done_callback(lambda _: self._land(entry, flight))
        return flight

    def _land(self, entry: str, flight: _Flight) -> None:
        if self._flights.get(entry) is flight:
            del self._flights[entry]
        if not flight.task.cancelled():
            # Every waiter may have gone by now; an error nobody awaits any more is not an unhandled one.
            flight.task.exception()

    async def _join(self, entry: str, flight: _Flight) -> Memoised[BaseModel]:
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                if self._flights.get(entry) is flight:
                    del self._flights[entry]
                flight.task.cancel()

    async def _look_up_or_compute(
        self, entry: str, model: type[T], compute: Callable[[], Awaitable[T]], deadline: Deadline
    ) -> Memoised[BaseModel]:
        found = await self._look_up(entry, model)
        if found is not None:
            return Memoised(found, cached=True)
        wait_s = min(self._lock_ttl_s, deadline.remaining_s() * _LOCK_WAIT_SHARE)
        async with self._sealed.lock(entry, ttl_s=self._lock_ttl_s, wait_s=wait_s):
            # Another process may have stored it while this one waited for the lock.
            found = await self._look_up(entry, model)
            if found is not None:
                return Memoised(found, cached=True)
            value = await compute()
            await self._store(entry, value)
            return Memoised(value, cached=False)

    async def _look_up(self, entry: str, model: type[T]) -> T | None:
        try:
            stored = await self._sealed.get(entry)
        except CacheUnavailable:
            return None
        if stored is None:
            return None
        try:
            return model.model_validate_json(stored)
        except ValidationError:
            # Written by a version with another shape; compute it anew.
            _log.warning("cache_value_of_another_shape", model=model.__qualname__)
            return None

    async def _store(self, entry: str, value: BaseModel) -> None:
        try:
            await self._sealed.set(entry, value.model_dump_json().encode(), self._ttl_s)
        except CacheUnavailable:
            # The adapter has logged the outage; the value goes to its caller all the same.
            return
