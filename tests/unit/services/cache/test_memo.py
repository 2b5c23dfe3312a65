"""Each thing is computed once, failures are not kept, nobody waits past a deadline or suffers another's cancelling."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
from pydantic import BaseModel

from services.cache.memo import ComputeOnce
from services.cache.memory import InProcessCache
from services.cache.port import Cache
from services.cache.sealed import SealedCache
from services.deadline import Deadline
from services.errors import CacheUnavailable, DeadlineExceeded, EngineUnavailable


class Number(BaseModel):
    """A value to remember."""

    n: int


class Gate:
    """A computation that the test holds at its gate."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self) -> Number:
        self.calls += 1
        self.entered.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Number(n=self.calls)


class DeadCache:
    """A cache that never answers."""

    name = "dead"

    async def get(self, key: str) -> bytes | None:
        raise CacheUnavailable(f"no answer for {len(key)}")

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        raise CacheUnavailable(f"no answer for {len(key)}")

    def lock(self, key: str, *, ttl_s: float, wait_s: float) -> AbstractAsyncContextManager[bool]:
        busy = InProcessCache(1)
        return busy.lock(key, ttl_s=ttl_s, wait_s=wait_s)

    async def ping(self) -> bool:
        return False

    async def close(self) -> None:
        return


def _memo(cache: Cache | None = None) -> ComputeOnce:
    return ComputeOnce(SealedCache(cache or InProcessCache(2**20), None), ttl_s=60)


def _soon() -> Deadline:
    return Deadline.after(30)


async def _number() -> Number:
    return Number(n=1)


async def test_the_second_time_it_comes_from_the_cache() -> None:
    memo = _memo()
    first = await memo.get_or_compute("n", ["a"], Number, _number, _soon())
    second = await memo.get_or_compute("n", ["a"], Number, _number, _soon())
    assert (first.value, first.cached, second.value, second.cached) == (Number(n=1), False, Number(n=1), True)


async def test_other_parts_and_namespaces_are_other_things() -> None:
    memo = _memo()
    for namespace, parts in (("n", ["a"]), ("n", ["b"]), ("m", ["a"])):
        assert not (await memo.get_or_compute(namespace, parts, Number, _number, _soon())).cached


async def test_concurrent_callers_share_one_computation() -> None:
    memo, gate = _memo(), Gate()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(memo.get_or_compute("n", ["a"], Number, gate, _soon())) for _ in range(10)]
        await gate.entered.wait()
        gate.open.set()
    assert gate.calls == 1
    assert sorted(task.result().cached for task in tasks) == [False] + [True] * 9


async def test_two_processes_on_one_cache_compute_once() -> None:
    # Two ComputeOnce share nothing but the cache, as two processes do.
    plain, key = InProcessCache(2**20), None
    sealed = SealedCache(plain, key)
    here, there, gate = ComputeOnce(sealed, 60), ComputeOnce(sealed, 60), Gate()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(here.get_or_compute("n", ["a"], Number, gate, _soon()))
        await gate.entered.wait()
        second = group.create_task(there.get_or_compute("n", ["a"], Number, gate, _soon()))
        await asyncio.sleep(0)
        gate.open.set()
    assert gate.calls == 1
    assert (first.result().cached, second.result().cached) == (False, True)


async def test_a_failure_reaches_everyone_who_waits_and_is_not_kept() -> None:
    memo = _memo()
    entered, go = asyncio.Event(), asyncio.Event()

    async def fail() -> Number:
        entered.set()
        await go.wait()
        raise EngineUnavailable("down")

    waiting = [asyncio.ensure_future(memo.get_or_compute("n", ["a"], Number, fail, _soon())) for _ in range(3)]
    await entered.wait()
    go.set()
    assert [type(result) for result in await asyncio.gather(*waiting, return_exceptions=True)] == [
        EngineUnavailable
    ] * 3
    assert not (await memo.get_or_compute("n", ["a"], Number, _number, _soon())).cached


async def test_a_cancelled_leader_takes_nothing_from_the_others() -> None:
    memo, gate = _memo(), Gate()
    leader = asyncio.ensure_future(memo.get_or_compute("n", ["a"], Number, gate, _soon()))
    await gate.entered.wait()
    other = asyncio.ensure_future(memo.get_or_compute("n", ["a"], Number, gate, _soon()))
    await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    gate.open.set()
    assert (await other).value == Number(n=1)
    assert (gate.calls, gate.cancelled.is_set()) == (1, False)


async def test_the_computation_ends_with_its_last_waiter() -> None:
    memo, gate = _memo(), Gate()
    waiting = [asyncio.ensure_future(memo.get_or_compute("n", ["a"], Number, gate, _soon())) for _ in range(2)]
    await gate.entered.wait()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(5):
        await gate.cancelled.wait()
    gate.open.set()
    assert (await memo.get_or_compute("n", ["a"], Number, gate, _soon())).value == Number(n=2)


async def test_a_waiter_with_less_time_leaves_at_its_own_deadline() -> None:
    memo, gate = _memo(), Gate()
    leader = asyncio.ensure_future(memo.get_or_compute("n", ["a"], Number, gate, _soon()))
    await gate.entered.wait()
    with pytest.raises(DeadlineExceeded):
        await memo.get_or_compute("n", ["a"], Number, gate, Deadline.after(0.01))
    gate.open.set()
    assert (await leader).value == Number(n=1)


async def test_a_waiter_with_more_time_computes_when_the_leaders_runs_out() -> None:
    memo = _memo()
    entered, go = asyncio.Event(), asyncio.Event()

    async def late() -> Number:
        entered.set()
        await go.wait()
        raise DeadlineExceeded("the leader's time")

    leader = asyncio.ensure_future(memo.get_or_compute("n", ["a"], Number, late, _soon()))
    await entered.wait()
    patient = asyncio.ensure_future(memo.get_or_compute("n", ["a"], Number, _number, _soon()))
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(DeadlineExceeded):
        await leader
    assert (await patient).value == Number(n=1)


async def test_a_dead_cache_makes_it_slower_not_wrong() -> None:
    memo = _memo(DeadCache())
    for _ in range(2):
        result = await memo.get_or_compute("n", ["a"], Number, _number, _soon())
        assert (result.value, result.cached) == (Number(n=1), False)


async def test_a_stored_value_of_another_shape_is_computed_anew() -> None:
    plain = InProcessCache(2**20)
    sealed = SealedCache(plain, None)
    await sealed.set(sealed.entry("n", ("Number", "a")), b'{"m": 1}', ttl_s=60)
    assert not (await ComputeOnce(sealed, 60).get_or_compute("n", ["a"], Number, _number, _soon())).cached
