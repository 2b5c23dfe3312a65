from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from judge_service.app import build_app
from judge_service.settings import JudgeSettings, ModelSettings
from services.settings import AuthSettings, CacheSettings, EngineSettings, LimitSettings
from tests.support.real_parts import RealEngine


def judge_settings(engine: RealEngine, **change: object) -> JudgeSettings:
    """Settings of a judge on the real engine, open on loopback, with an in-process cache."""
    settings = JudgeSettings(
        auth=AuthSettings(mode="off"),
        cache=CacheSettings(),
        engine=EngineSettings.model_validate({"url": engine.base_url}),
        limits=LimitSettings(rate="100000/minute", deadline_s=100.0),
        model=ModelSettings(folder=engine.model.path, fingerprint=engine.model.fingerprint),
    )
    return settings.model_copy(update=change)


@asynccontextmanager
async def ready_judge(engine: RealEngine, settings: JudgeSettings | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a new judge that is ready, on the real engine, with an empty cache; it may take its time to load."""
    app = build_app(settings or judge_settings(engine))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://judge", timeout=110.0) as client:
            with anyio.fail_after(180):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - the judge is asked over HTTP
                    await anyio.sleep(0.1)
            yield client


@pytest.fixture
async def judge(engine: RealEngine) -> AsyncIterator[httpx.AsyncClient]:
    """A judge for one test."""
    async with ready_judge(engine) as client:
        yield client
