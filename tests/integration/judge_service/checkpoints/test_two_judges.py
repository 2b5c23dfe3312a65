"""Two judges, one Redis server, one engine: what one activates both serve, whoever asks and whatever dies."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from judge_service.settings import CheckpointSettings
from services.checkpoint.manifest import CheckpointManifest
from services.engine.provision import ProvisionedModel
from services.rubric.tokenizer import PromptTokenizer
from services.settings import CacheSettings
from services.web.keys import new_cache_key
from tests.integration.judge_service.conftest import judge_settings, ready_judge
from tests.support.checkpoint_folders import FINGERPRINT, golden_case, write_checkpoint
from tests.support.engine_server import engine_over_http
from tests.support.fake_engine import BASE_SCORE, FakeEngine
from tests.support.real_checkpoints import GOLDEN_TEXTS
from tests.support.real_parts import RealEngine
from tests.support.redis_server import RedisServer
from tests.support.tiny_tokenizer import write_tiny_tokenizer

pytestmark = [pytest.mark.integration, pytest.mark.anyio, pytest.mark.timeout(1200)]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@dataclass
class Fleet:
    """Judges that share an engine, a registry with the checkpoints `amber` and `blue`, and a Redis server.

    Attributes:
        gate: while it is shut, the engine in memory loads nothing; vLLM takes its time anyway.
    """

    engine: RealEngine
    registry: Path
    redis: RedisServer
    window_tokens: int
    cache_key: str = field(default_factory=new_cache_key)
    gate: threading.Event = field(default_factory=threading.Event)

    @asynccontextmanager
    async def judges(self, count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
        plain = judge_settings(self.engine)
        settings = plain.model_copy(
            update={
                "cache": CacheSettings(redis_url=SecretStr(self.redis.url), key=SecretStr(self.cache_key), ttl_s=1),
                "checkpoints": CheckpointSettings(folder=self.registry, promotion="by_hand"),
                "model": plain.model.model_copy(update={"window_tokens": self.window_tokens}),
            }
        )
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(ready_judge(self.engine, settings)) for _ in range(count)]


@pytest.fixture
def engine_in_memory(redis: RedisServer, tmp_path: Path) -> Iterator[Fleet]:
    folder = write_tiny_tokenizer(tmp_path / "tiny")
    level_ids = PromptTokenizer.from_folder(folder).level_ids
    for version, score in (("amber", 3.0), ("blue", 4.0)):
        cases = [golden_case(name, score, BASE_SCORE) for name in ("a", "b", "c")]
        write_checkpoint(tmp_path / "registry" / version, level_ids=level_ids, golden=cases)
    engine = FakeEngine()
    with engine_over_http(engine) as url:
        real = RealEngine(url, ProvisionedModel(folder, engine.base_model, FINGERPRINT, "folder"))
        fleet = Fleet(real, tmp_path / "registry", redis, window_tokens=8192)
        fleet.gate.set()
        engine.before_load = lambda: assert_opened(fleet.gate)
        yield fleet


def assert_opened(gate: threading.Event) -> None:
    """Wait until a gate is open, in bounded time."""
    assert gate.wait(60.0)


@pytest.fixture
def vllm(
    engine: RealEngine,
    two_checkpoints: tuple[CheckpointManifest, CheckpointManifest],
    redis: RedisServer,
    tmp_path: Path,
) -> Fleet:
    return Fleet(engine, tmp_path / "made", redis, window_tokens=2048)


@pytest.fixture(params=["engine_in_memory", pytest.param("vllm", marks=pytest.mark.slow)])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    found: Fleet = request.getfixturevalue(request.param)
    return found


async def _known(judge: httpx.AsyncClient) -> dict[str, Any]:
    answer = await judge.get("/checkpoints")
    assert answer.status_code == httpx.codes.OK, answer.text
    known: dict[str, Any] = answer.json()
    return known


async def _state(judge: httpx.AsyncClient, version: str) -> str:
    return str((await judge.get(f"/checkpoints/{version}")).json()["state"])


async def _activate(judge: httpx.AsyncClient, version: str) -> int:
    return (await judge.post(f"/checkpoints/{version}/activate")).status_code


async def _label_of_an_answer(judge: httpx.AsyncClient) -> str:
    context, response = GOLDEN_TEXTS[0]
    answer = await judge.post("/evaluate", json={"context": context, "response": response})
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.json()["checkpoint"])


async def _converged(judges: list[httpx.AsyncClient], generation: int) -> str:
    """Wait until all follow the same pointer of at least that generation, and return the one label that they serve."""
    with anyio.fail_after(120):
        while True:
            seen = [await _known(judge) for judge in judges]
            reports = [
                report for report in seen[0]["replicas"] if report["replica"] in {one["replica"] for one in seen}
            ]
            labels = {one["active"] for one in seen} | {report["serving"] for report in reports}
            generations = {report["generation"] for report in reports}
            if len(labels) == len(generations) == 1 and len(reports) == len(judges) and min(generations) >= generation:
                return str(labels.pop())
            await asyncio.sleep(0.1)


async def test_activation_at_one_is_served_by_both_and_by_a_judge_that_starts_later(fleet: Fleet) -> None:
    async with fleet.judges(2) as judges:
        began = (await _known(judges[0]))["pointer"]["generation"]
        await _activate(judges[1], "blue")
        await _activate(judges[0], "amber")
        amber = await _converged(judges, began + 1)
        assert amber.startswith("amber-")
        assert [await _label_of_an_answer(judge) for judge in judges] == [amber, amber]
    async with fleet.judges(1) as judges:
        assert await _label_of_an_answer(judges[0]) == amber
        shutil.rmtree(fleet.registry / "amber")
        assert await _label_of_an_answer(judges[0]) == amber
        assert (await judges[0].get("/readyz")).status_code == httpx.codes.OK


async def test_two_versions_activated_at_once_leave_both_judges_on_one(fleet: Fleet) -> None:
    async with fleet.judges(2) as judges:
        began = await _known(judges[0])
        statuses = await asyncio.gather(_activate(judges[0], "amber"), _activate(judges[1], "blue"))
        assert set(statuses) <= {httpx.codes.OK, httpx.codes.CONFLICT}
        assert httpx.codes.OK in statuses
        label = await _converged(judges, began["pointer"]["generation"])
        known = await _known(judges[0])
        assert label.startswith(known["pointer"]["target"]["version"])
        assert [await _label_of_an_answer(judge) for judge in judges] == [label, label]


async def test_redis_killed_within_a_flip_leaves_both_as_they_were_and_they_agree_once_it_is_back(
    fleet: Fleet,
) -> None:
    async with fleet.judges(2) as judges:
        before = await _converged(judges, 1)
        other = "amber" if before.startswith("blue") else "blue"
        fleet.gate.clear()
        flip = asyncio.create_task(_activate(judges[0], other))
        with anyio.fail_after(60):
            while (await _state(judges[0], other)) not in ("loading", "canary"):  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.02)
        fleet.redis.kill()
        fleet.gate.set()
        assert await flip == httpx.codes.SERVICE_UNAVAILABLE
        seen = (await judges[0].get(f"/checkpoints/{other}")).json()
        assert (seen["state"], seen["reason"]) == ("verified", "not_switched")
        for judge in judges:
            assert await _label_of_an_answer(judge) == before
            assert (await _known(judge))["pointer_reachable"] is False
            assert (await judge.get("/readyz")).status_code == httpx.codes.OK
        fleet.redis.start()
        assert await _converged(judges, 1) == before
        assert await _activate(judges[0], other) == httpx.codes.OK
        assert (await _converged(judges, 2)).startswith(other)
