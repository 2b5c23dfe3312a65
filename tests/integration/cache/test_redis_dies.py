"""Redis dying makes requests slower, never wrong: a real service, a real server, a real kill."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, SecretStr

from services.cache.build import build_cache
from services.cache.memo import ComputeOnce
from services.settings import CacheSettings
from services.telemetry.metrics import PlatformMetrics
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator, Principal, require
from services.web.keys import new_cache_key
from services.web.rate_limit import RateLimiter
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration


class Square(BaseModel):
    """The service's answer."""

    square: int


class Squares:
    """A service that remembers squares in Redis, with its rate limits there too."""

    def __init__(self, url: str, rate: str = "1000/minute") -> None:
        metrics = self.metrics = PlatformMetrics(CollectorRegistry())
        settings = CacheSettings(redis_url=SecretStr(url), key=SecretStr(new_cache_key()), timeout_ms=2000)
        self.cache = build_cache(settings, metrics)
        self.rate_limiter = RateLimiter(rate, settings.redis_url, service="squares", timeout_s=2)
        self.computing = asyncio.Event()
        self.go_on = asyncio.Event()
        self.computed = 0
        self.app = self._build()

    def _build(self) -> FastAPI:
        memo = ComputeOnce(self.cache.sealed, ttl_s=60)
        router = APIRouter()

        @router.get("/squares/{n}")
        async def square(n: int, request: Request, _: Annotated[Principal, Depends(require("evaluate"))]) -> Square:
            async def compute() -> Square:
                self.computed += 1
                self.computing.set()
                await self.go_on.wait()
                return Square(square=n * n)

            deadline = request.state.deadline
            return (await memo.get_or_compute("square", [str(n)], Square, compute, deadline)).value

        return create_app(
            title="squares",
            version="1",
            description="",
            service="squares",
            routers=[router],
            auth=Authenticator(None),
            rate_limiter=self.rate_limiter,
            limits=WebLimits(RouteLimits(60, 1000), max_in_flight=100),
            metrics=self.metrics,
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client, and release the connections in the end."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://squares") as client:
            yield client
        await self.rate_limiter.close()
        await self.cache.plain.close()


async def test_requests_in_flight_when_redis_is_killed_are_all_answered_right(redis_server: RedisServer) -> None:
    service = Squares(redis_server.url)
    async with service.client() as client:
        service.go_on.set()
        assert (await client.get("/squares/7")).json() == {"square": 49}
        service.go_on.clear()
        service.computing.clear()
        under_way = [asyncio.ensure_future(client.get(f"/squares/{n % 10}")) for n in range(40)]
        await service.computing.wait()
        redis_server.kill()
        service.go_on.set()
        later = await asyncio.gather(*(client.get(f"/squares/{n}") for n in range(10)))
        answers = await asyncio.gather(*under_way)
    assert [answer.json() for answer in answers] == [{"square": (n % 10) ** 2} for n in range(40)]
    assert [answer.json() for answer in later] == [{"square": n * n} for n in range(10)]


async def test_after_a_restart_the_cache_serves_again(redis_server: RedisServer) -> None:
    service = Squares(redis_server.url)
    service.go_on.set()
    async with service.client() as client:
        redis_server.kill()
        assert (await client.get("/squares/3")).json() == {"square": 9}
        redis_server.start()
        assert await service.cache.plain.ping()
        for _ in range(3):
            assert (await client.get("/squares/3")).json() == {"square": 9}
    assert service.computed == 2, "once without Redis, once to fill it again"


async def test_what_lies_in_redis_shows_neither_question_nor_answer(redis_server: RedisServer) -> None:
    service = Squares(redis_server.url)
    service.go_on.set()
    async with service.client() as client:
        await client.get("/squares/1234")
    with redis_server.client() as redis:
        names = [name for name in redis.scan_iter("tl:v1:*") if not name.endswith(b":lock")]
        assert len(names) == 1
        stored = bytes(redis.get(names[0]) or b"")
    assert b"square" not in names[0]
    assert b"square" not in stored
    assert b"1522756" not in stored


async def test_a_rate_is_shared_by_replicas_and_kept_by_each_when_redis_is_gone(redis_server: RedisServer) -> None:
    here, there = Squares(redis_server.url, "4/hour"), Squares(redis_server.url, "4/hour")
    for service in (here, there):
        service.go_on.set()
    async with here.client() as one, there.client() as other:
        shared = [(await client.get("/squares/2")).status_code for client in (one, other, one, other, one, other)]
        redis_server.kill()
        alone = [(await one.get("/squares/2")).status_code for _ in range(6)]
    assert shared == [200, 200, 200, 200, 429, 429]
    assert alone == [200, 200, 200, 200, 429, 429]


def test_processes_that_ask_the_same_at_the_same_time_compute_once(redis_server: RedisServer) -> None:
    script = Path(__file__).with_name("compute_in_process.py")
    root = Path(__file__).parents[3]
    key = new_cache_key()
    started = [
        subprocess.Popen(
            [sys.executable, str(script), redis_server.url, key, str(number)],
            stdout=subprocess.PIPE,
            cwd=root,
            env={"PYTHONPATH": str(root)},
            text=True,
        )
        for number in range(3)
    ]
    with redis_server.client() as redis:
        for _ in started:
            assert redis.blpop(["ready"], timeout=60)
        for number in range(3):
            redis.rpush(f"go-{number}", "go")
        told = [process.communicate(timeout=60)[0].split() for process in started]
        assert redis.get("computations") == b"1"
    assert len({made_by for made_by, _ in told}) == 1
    assert sorted(cached for _, cached in told) == ["False", "True", "True"]
