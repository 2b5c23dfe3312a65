"""What every cache does. A test class per adapter subclasses this and gives the `cache` fixture."""

import asyncio

import pytest

from services.cache.port import Cache


class CacheContract:
    """The cache port's promises."""

    @pytest.mark.parametrize(
        "value",
        [b"", b"plain", bytes(range(256)), b"x" * 1_000_000],
        ids=["empty", "ascii", "every byte", "a megabyte"],
    )
    async def test_gives_back_the_very_bytes(self, cache: Cache, value: bytes) -> None:
        await cache.set("key", value, ttl_s=60)
        assert await cache.get("key") == value

    async def test_an_unknown_key_is_none(self, cache: Cache) -> None:
        assert await cache.get("never set") is None

    async def test_setting_again_replaces(self, cache: Cache) -> None:
        await cache.set("key", b"old", ttl_s=60)
        await cache.set("key", b"new", ttl_s=60)
        assert await cache.get("key") == b"new"

    async def test_a_value_ends_with_its_time_to_live(self, cache: Cache) -> None:
        await cache.set("short", b"value", ttl_s=0.01)
        async with asyncio.timeout(5):
            while await cache.get("short") is not None:  # noqa: ASYNC110  a cache tells nobody when a value ends
                await asyncio.sleep(0)

    async def test_a_lock_keeps_a_second_holder_out_until_released(self, cache: Cache) -> None:
        async with cache.lock("job", ttl_s=10, wait_s=1) as first:
            async with cache.lock("job", ttl_s=10, wait_s=0.03) as second:
                assert (first, second) == (True, False)
            async with cache.lock("other job", ttl_s=10, wait_s=1) as other:
                assert other
        async with cache.lock("job", ttl_s=10, wait_s=1) as third:
            assert third

    async def test_a_waiter_gets_the_lock_when_the_holder_ends(self, cache: Cache) -> None:
        held = asyncio.Event()
        let_go = asyncio.Event()

        async def hold() -> None:
            async with cache.lock("job", ttl_s=10, wait_s=1):
                held.set()
                await let_go.wait()

        async def wait() -> bool:
            async with cache.lock("job", ttl_s=10, wait_s=5) as acquired:
                return acquired

        async with asyncio.TaskGroup() as group:
            group.create_task(hold())
            await held.wait()
            waiting = group.create_task(wait())
            await asyncio.sleep(0)
            let_go.set()
        assert waiting.result()

    async def test_an_error_in_the_block_frees_the_lock(self, cache: Cache) -> None:
        with pytest.raises(ZeroDivisionError):
            async with cache.lock("job", ttl_s=10, wait_s=1):
                raise ZeroDivisionError
        async with cache.lock("job", ttl_s=10, wait_s=1) as acquired:
            assert acquired

    async def test_it_answers_and_has_a_name(self, cache: Cache) -> None:
        assert await cache.ping()
        assert cache.name
