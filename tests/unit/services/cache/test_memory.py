"""The in-process cache keeps the contract, its byte limit and its clock."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cache.memory import InProcessCache
from tests.contracts.cache import CacheContract


class TestInProcessCache(CacheContract):
    """The contract."""

    @pytest.fixture
    async def cache(self) -> AsyncIterator[InProcessCache]:
        cache = InProcessCache(2**24)
        yield cache
        await cache.close()


async def test_expiry_follows_the_clock() -> None:
    now_s = 0.0
    cache = InProcessCache(1000, clock=lambda: now_s)
    await cache.set("key", b"value", ttl_s=10)
    now_s = 9.999
    assert await cache.get("key") == b"value"
    now_s = 10.0
    assert await cache.get("key") is None


async def test_the_least_recently_used_goes_first() -> None:
    cache = InProcessCache(9)
    for key in "abc":
        await cache.set(key, b"12", ttl_s=60)
    await cache.get("a")
    await cache.set("d", b"12", ttl_s=60)
    assert [key for key in "abcd" if await cache.get(key)] == ["a", "c", "d"]


async def test_a_value_above_the_whole_limit_is_not_kept_and_evicts_nothing() -> None:
    cache = InProcessCache(10)
    await cache.set("a", b"1234", ttl_s=60)
    await cache.set("b", b"x" * 100, ttl_s=60)
    assert await cache.get("a") == b"1234"
    assert await cache.get("b") is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=12)), max_size=40))
async def test_what_is_kept_never_exceeds_the_limit_and_is_the_latest(writes: list[tuple[str, bytes]]) -> None:
    cache = InProcessCache(20)
    latest: dict[str, bytes] = {}
    for key, value in writes:
        await cache.set(key, value, ttl_s=60)
        latest[key] = value
        kept = {name: found for name in latest if (found := await cache.get(name)) is not None}
        assert sum(len(name) + len(found) for name, found in kept.items()) <= 20
        assert kept.items() <= latest.items()
        assert key in kept
