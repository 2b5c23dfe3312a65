"""The Redis adapter keeps the cache contract on a real server, and tells its death as CacheUnavailable."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.cache.breaker import CircuitBreaker
from services.cache.redis import RedisCache
from services.errors import CacheUnavailable
from tests.contracts.cache import CacheContract
from tests.support.redis_server import RedisServer, free_port

pytestmark = pytest.mark.integration


@pytest.fixture
async def cache(redis_server: RedisServer) -> AsyncIterator[RedisCache]:
    """Return a cache on the running server; the timeout is generous, as the machine may be busy."""
    cache = RedisCache(redis_server.url, timeout_s=5)
    yield cache
    await cache.close()


class TestRedisCache(CacheContract):
    """The contract."""


async def test_a_lock_ends_by_itself_when_its_holder_dies(cache: RedisCache) -> None:
    abandoned = cache.lock("job", ttl_s=0.05, wait_s=1)
    await abandoned.__aenter__()
    async with cache.lock("job", ttl_s=10, wait_s=5) as acquired:
        assert acquired
        # The late holder does not take the lock from the new one.
        await abandoned.__aexit__(None, None, None)
        async with cache.lock("job", ttl_s=10, wait_s=0.01) as third:
            assert not third


async def test_values_carry_their_time_to_live_in_redis(cache: RedisCache, redis_server: RedisServer) -> None:
    await cache.set("key", b"value", ttl_s=60)
    with redis_server.client() as client:
        assert 0 < int(str(client.pttl("key"))) <= 60_000


async def test_a_dead_server_is_unavailable_a_restarted_one_serves_again(
    cache: RedisCache, redis_server: RedisServer
) -> None:
    await cache.set("key", b"value", ttl_s=60)
    redis_server.kill()
    with pytest.raises(CacheUnavailable):
        await cache.get("key")
    with pytest.raises(CacheUnavailable):
        await cache.set("key", b"value", ttl_s=60)
    async with cache.lock("job", ttl_s=1, wait_s=1) as acquired:
        assert not acquired
    assert not await cache.ping()
    redis_server.start()
    assert await cache.ping()
    await cache.set("key", b"new", ttl_s=60)
    assert await cache.get("key") == b"new"


async def test_a_server_killed_while_it_is_asked_is_unavailable(cache: RedisCache, redis_server: RedisServer) -> None:
    await cache.ping()
    redis_server.freeze()
    asking = asyncio.ensure_future(cache.get("key"))
    await asyncio.sleep(0)
    redis_server.kill()
    with pytest.raises(CacheUnavailable):
        await asking


async def test_a_server_that_hangs_costs_one_timeout_then_nothing(redis_server: RedisServer) -> None:
    cache = RedisCache(redis_server.url, timeout_s=0.05, breaker=CircuitBreaker(clock=lambda: 0.0))
    await cache.ping()
    redis_server.freeze()
    with pytest.raises(CacheUnavailable) as first:
        await cache.get("key")
    with pytest.raises(CacheUnavailable) as second:
        await cache.get("key")
    assert first.value.__cause__ is not None, "it was asked"
    assert second.value.__cause__ is None, "the breaker answered without asking"
    await cache.close()


async def test_a_server_that_never_was_is_unavailable() -> None:
    cache = RedisCache(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(CacheUnavailable):
        await cache.get("key")
    await cache.close()


async def test_a_server_that_refuses_is_unavailable(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("requirepass", "secret")
    cache = RedisCache(redis_server.url, timeout_s=5)
    with pytest.raises(CacheUnavailable):
        await cache.get("key")
    await cache.close()


async def test_a_lock_whose_server_dies_under_it_lets_its_holder_finish(
    cache: RedisCache, redis_server: RedisServer
) -> None:
    async with cache.lock("job", ttl_s=10, wait_s=1) as acquired:
        assert acquired
        redis_server.kill()
