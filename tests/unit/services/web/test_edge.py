"""Every answer carries a request id, is counted and logged without text; the unforeseen is a 500 that tells nothing."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry
from starlette.types import Message

from services.contracts.problem import Problem
from services.errors import EngineUnavailable, ServiceError
from services.telemetry.logs import configure_logging
from services.telemetry.metrics import PlatformMetrics
from services.web.health import ReadinessProbe
from services.web.problems import KINDS, problem_of
from tests.unit.services.web.conftest import Service

MakeService = Callable[..., Service]
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Log as a service does, and return what was logged so far."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers, root.level)
    configure_logging("test", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("partner-7.req_1", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("two words", False),
        ('"}{', False),
        ("", False),
        ("-rf", False),
    ],
)
async def test_a_sane_request_id_is_kept_and_any_other_replaced(service: Service, sent: str, kept: bool) -> None:
    async with service.client() as client:
        answer = await client.get("/deadline", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert (answer.headers["X-Request-ID"] == sent) is kept


async def test_the_unforeseen_is_a_500_logged_once_without_its_message(service: Service, lines: Lines) -> None:
    async with service.client() as client:
        answer = await client.get("/broken", headers={"X-Request-ID": "r1"})
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.type, problem.request_id) == (500, "urn:theraloop:problem:internal", "r1")
    assert "diary" not in answer.text
    errors = [line for line in lines() if line["level"] == "error"]
    assert [(line["event"], line["request_id"], line["error"]["type"]) for line in errors] == [
        ("unexpected_error", "r1", "builtins.ZeroDivisionError")
    ]
    assert "diary" not in json.dumps(lines())


async def test_a_stream_that_breaks_is_cut_off_not_ended(service: Service, lines: Lines) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asked: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return asked.pop() if asked else await asyncio.Future()

    key = f"Bearer {service.keys['all']}".encode()
    scope = {"type": "http", "method": "GET", "path": "/breaks-while-streaming", "query_string": b""}
    await service.app(scope | {"headers": [(b"authorization", key)], "asgi": {"version": "3.0"}}, receive, send)
    assert [message.get("body") for message in sent] == [None, b"first\n"]
    assert sent[-1]["more_body"]
    by_event = {line["event"]: line for line in lines()}
    assert by_event["unexpected_error"]["error"]["type"] == "builtins.ZeroDivisionError"
    assert by_event["http_request"]["complete"] is False


async def test_the_access_log_holds_no_query_and_no_text(service: Service, lines: Lines) -> None:
    async with service.client() as client:
        await client.post("/evaluate?q=diary", json={"context": "diary", "response": "diary"})
    (line,) = [line for line in lines() if line["event"] == "http_request"]
    assert next(iter(line)) == "event"
    assert (line["route"], line["method"], line["status"], line["key"]) == ("/evaluate", "POST", 200, "all")
    assert "diary" not in json.dumps(line)


async def test_requests_are_counted_by_route_template(make_service: MakeService) -> None:
    metrics = PlatformMetrics(CollectorRegistry())
    service = make_service(metrics=metrics)
    async with service.client() as client:
        await client.post("/evaluate", json={"context": "a", "response": "b"})
        await client.request("BREW", "/evaluate")
        await client.get("/some/random/path")
        scraped = (await client.get("/metrics")).text

    def count(route: str, method: str, status: str) -> float | None:
        labels = {"service": "test", "route": route, "method": method, "status": status}
        return metrics.registry.get_sample_value("theraloop_http_requests_total", labels)

    assert count("/evaluate", "POST", "200") == 1
    assert count("unrouted", "GET", "404") == 1
    assert count("/evaluate", "OTHER", "405") == 1
    assert "theraloop_http_request_seconds_bucket" in scraped
    assert 'theraloop_http_in_flight{service="test"} 0.0' in scraped
    assert "random" not in scraped


async def test_a_known_error_tells_its_detail_and_whether_to_retry(service: Service) -> None:
    async with service.client() as client:
        answer = await client.get("/engine-down")
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.retryable, problem.detail) == (503, True, "the model server does not answer")


def _leaves(kind: type[ServiceError]) -> set[type[ServiceError]]:
    below = kind.__subclasses__()
    return {kind}.union(*(_leaves(each) for each in below)) if below else {kind}


def test_every_error_of_the_tree_is_in_the_table() -> None:
    public = {kind for kind in _leaves(ServiceError) if not kind.__name__.startswith("_")} - {ServiceError}
    assert {kind for kind in public if problem_of(kind("detail"), "r").status == 500} == set()
    assert len({kind.slug for kind in KINDS.values()}) == len(KINDS)


async def _answers() -> str:
    return "v1"


async def _is_down() -> str:
    raise EngineUnavailable("does not answer")


async def _breaks() -> str:
    raise ZeroDivisionError("diary")


@pytest.mark.parametrize(
    ("probes", "status", "word"),
    [
        ((), 200, "ready"),
        ((ReadinessProbe("engine", _answers),), 200, "ready"),
        ((ReadinessProbe("engine", _is_down), ReadinessProbe("cache", _answers)), 503, "unready"),
        ((ReadinessProbe("engine", _answers), ReadinessProbe("cache", _is_down, required=False)), 200, "degraded"),
        ((ReadinessProbe("engine", _breaks),), 503, "unready"),
    ],
    ids=["no parts", "all answer", "a required one is down", "an optional one is down", "a probe breaks"],
)
async def test_ready_means_that_every_required_part_answers(
    make_service: MakeService, probes: tuple[ReadinessProbe, ...], status: int, word: str
) -> None:
    async with make_service(readiness=probes).client(key=None) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (status, word)
    assert [part["name"] for part in answer.json()["parts"]] == [probe.name for probe in probes]
    assert "diary" not in answer.text


async def test_the_description_tells_the_errors_that_are_really_sent(service: Service) -> None:
    async with service.client(key=None) as client:
        document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/evaluate"]["post"]
    assert {"401", "403", "413", "422", "429", "502", "503", "504"} <= operation["responses"].keys()
    for status, answer in operation["responses"].items():
        if status != "200":
            assert answer["content"].keys() == {"application/problem+json"}, status
    assert operation["security"] == [{"key": []}]
    assert document["components"]["schemas"]["Problem"]["properties"]["retryable"]["type"] == "boolean"
    assert "HTTPValidationError" not in json.dumps(document)
    assert "security" not in document["paths"]["/healthz"]["get"]


async def test_answers_are_not_to_be_sniffed(service: Service) -> None:
    async with service.client() as client:
        answer: httpx.Response = await client.get("/deadline")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
