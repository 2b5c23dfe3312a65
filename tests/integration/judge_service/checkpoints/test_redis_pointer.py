import secrets
from collections.abc import AsyncIterator

import pytest

from judge_service.checkpoints.pointer import PointerUnavailable
from judge_service.checkpoints.redis_pointer import RedisPointer
from tests.contracts.pointer import PointerStoreContract, report
from tests.support.real_parts import free_ports

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


class TestRedisPointer(PointerStoreContract):
    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncIterator[RedisPointer]:
        store = RedisPointer(redis_url, secrets.token_hex(32), timeout_s=5.0)
        yield store
        await store.close()


async def test_replicas_see_each_others_reports_and_models_do_not_mix(redis_url: str) -> None:
    fingerprint = secrets.token_hex(32)
    one, two = (RedisPointer(redis_url, fingerprint, timeout_s=5.0) for _ in range(2))
    other = RedisPointer(redis_url, secrets.token_hex(32), timeout_s=5.0)
    await one.exchange(report("one"))
    assert {found.replica for found in await two.exchange(report("two"))} == {"one", "two"}
    assert {found.replica for found in await other.exchange(report("three"))} == {"three"}
    for store in (one, two, other):
        await store.close()


async def test_server_that_is_gone_is_unavailable_not_empty() -> None:
    (port,) = free_ports(1)
    store = RedisPointer(f"redis://127.0.0.1:{port}/0", "0" * 64, timeout_s=0.5)
    with pytest.raises(PointerUnavailable):
        await store.read()
    await store.close()
