import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from httpx_sse import EventSource
from prometheus_client import CollectorRegistry

from agent_service.routes.refine import refine_router
from services.contracts.refine import RefineEvent, Refinement
from services.errors import DependencyUnavailable
from services.telemetry.metrics import PlatformMetrics
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator
from services.web.rate_limit import RateLimiter
from tests.unit.agent_service.fakes import Scores, ScriptedJudge, ScriptedRoles, pipeline

BODY = {"context": "My dog died last night and the flat is so quiet.", "response": "Pets die. You can get another dog."}
EVENTS = {"Accept": "text/event-stream"}


@asynccontextmanager
async def _agent(
    judge: ScriptedJudge,
    roles: ScriptedRoles | None = None,
    *,
    keepalive_s: float = 5.0,
    policy: dict[str, str] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        title="agent",
        version="0",
        description="",
        service="agent",
        routers=(
            refine_router(pipeline(judge, roles or ScriptedRoles(), policy=policy or {}), keepalive_s=keepalive_s),
        ),
        auth=Authenticator(None),
        rate_limiter=RateLimiter("1000/second", service="agent"),
        limits=WebLimits(RouteLimits(30.0, 2**20), max_in_flight=8),
        metrics=PlatformMetrics(CollectorRegistry()),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agent") as client:
        yield client


def _low(reply: str) -> Scores:
    return 2.9 if reply == BODY["response"] else 4.0


async def test_json_answer_is_the_refinement() -> None:
    async with _agent(ScriptedJudge(_low)) as client:
        answer = await client.post("/refine", json=BODY)
    assert answer.status_code == 200
    assert Refinement.model_validate(answer.json()).outcome == "refined"


async def test_events_are_streamed_in_order_and_the_last_carries_the_refinement() -> None:
    async with (
        _agent(ScriptedJudge(_low)) as client,
        client.stream("POST", "/refine", json=BODY, headers=EVENTS) as got,
    ):
        assert got.headers["content-type"].startswith("text/event-stream")
        events = [RefineEvent.model_validate_json(item.data) async for item in EventSource(got).aiter_sse()]
    assert [event.event for event in events] == ["judged", "critique", "plan", "candidates", "gated", "done"]
    assert events[-1].refinement is not None


async def test_a_rejection_in_a_stream_is_its_last_event() -> None:
    judge = ScriptedJudge(lambda _: DependencyUnavailable("down"))
    async with (
        _agent(judge, policy={"judge_down": "reject"}) as client,
        client.stream("POST", "/refine", json=BODY, headers=EVENTS) as got,
    ):
        events = [RefineEvent.model_validate_json(item.data) async for item in EventSource(got).aiter_sse()]
    assert [event.event for event in events] == ["problem"]
    assert events[0].problem is not None
    assert events[0].problem.status == 503


async def test_a_rejection_is_problem_json() -> None:
    judge = ScriptedJudge(lambda _: DependencyUnavailable("down"))
    async with _agent(judge, policy={"judge_down": "reject"}) as client:
        answer = await client.post("/refine", json=BODY)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


async def test_silence_is_filled_with_comments_until_the_deadline() -> None:
    roles = ScriptedRoles(hang="therapist")
    async with _agent(ScriptedJudge(_low), roles, keepalive_s=0.02) as client:
        answer = await client.post("/refine", json={**BODY, "deadline_ms": 400}, headers=EVENTS)
    assert ": ping" in answer.text
    assert '"event":"done"' in answer.text


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"response": "  "}, id="blank draft"),
        pytest.param({"context": "a\x00b"}, id="NUL"),
        pytest.param({"max_rounds": 0}, id="no round"),
        pytest.param({"candidates": 99}, id="too many candidates"),
        pytest.param({"region": "gb"}, id="region in small letters"),
        pytest.param({"thresholds": {"kindness": 3}}, id="unknown dimension"),
        pytest.param({"unknown": 1}, id="unknown field"),
    ],
)
async def test_a_bad_request_is_422(change: dict[str, object]) -> None:
    async with _agent(ScriptedJudge(_low)) as client:
        answer = await client.post("/refine", json={**BODY, **change})
    assert answer.status_code == 422


@pytest.mark.parametrize("text", ["\U0001f62d", "مرحبا بك يا صديقي", "a" * 90_000, "\u202egnorw", "e\u0301" * 50])
async def test_odd_text_is_answered(text: str) -> None:
    async with _agent(ScriptedJudge(_low)) as client:
        answer = await client.post("/refine", json={**BODY, "context": text, "response": text})
    assert answer.status_code == 200


async def test_concurrent_identical_requests_run_the_loop_once() -> None:
    judge = ScriptedJudge(_low)
    async with _agent(judge) as client:
        answers = await asyncio.gather(*(client.post("/refine", json=BODY) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(judge.batches) == 1
