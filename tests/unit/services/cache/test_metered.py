"""Metering changes nothing about a cache and counts what it did; settings decide which cache it is."""

from collections.abc import AsyncIterator

import pytest
import structlog
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from services.cache.build import build_cache
from services.cache.memory import InProcessCache
from services.cache.metered import MeteredCache
from services.settings import CacheSettings
from services.telemetry.metrics import PlatformMetrics
from services.web.keys import new_cache_key
from tests.contracts.cache import CacheContract


class TestMeteredCache(CacheContract):
    """The contract."""

    @pytest.fixture
    async def cache(self) -> AsyncIterator[MeteredCache]:
        cache = MeteredCache(InProcessCache(2**24), PlatformMetrics(CollectorRegistry()))
        yield cache
        await cache.close()


async def test_operations_are_counted_by_outcome() -> None:
    metrics = PlatformMetrics(CollectorRegistry())
    cache = MeteredCache(InProcessCache(2**20), metrics)
    await cache.get("a")
    await cache.set("a", b"1", ttl_s=60)
    await cache.get("a")
    await cache.get("a")
    async with cache.lock("a", ttl_s=1, wait_s=1), cache.lock("a", ttl_s=1, wait_s=0):
        pass

    def count(op: str, outcome: str) -> float | None:
        labels = {"cache": "memory", "op": op, "outcome": outcome}
        return metrics.registry.get_sample_value("theraloop_cache_operations_total", labels)

    counted = [count("get", "miss"), count("get", "hit"), count("set", "stored")]
    counted += [count("lock", "acquired"), count("lock", "not_acquired")]
    assert counted == [1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("url", "name", "event"),
    [(None, "memory", "cache_in_process"), ("redis://:s3cret@redis:6379", "redis", "cache_in_redis")],
)
async def test_the_settings_cache_is_built_and_said(
    monkeypatch: pytest.MonkeyPatch, url: str | None, name: str, event: str
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    settings = CacheSettings(redis_url=SecretStr(url) if url else None, key=SecretStr(new_cache_key()))
    with structlog.testing.capture_logs() as logged:
        plain, sealed = build_cache(settings, PlatformMetrics(CollectorRegistry()))
    assert (plain.name, sealed.cache) == (name, plain)
    assert [line["event"] for line in logged] == [event]
    assert "s3cret" not in str(logged)
    await plain.close()
