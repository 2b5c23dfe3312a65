"""Who gets in: keys, scopes, rates, in-flight limit, deadlines; all before the body is read."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from services.contracts.problem import Problem
from services.web.auth import Authenticator
from tests.unit.services.web.conftest import Service

MakeService = Callable[..., Service]
GOOD = {"context": "a", "response": "b"}


def _slug(answer: httpx.Response) -> str:
    return Problem.model_validate_json(answer.content).type.rpartition(":")[2]


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer tl_unknown", "Basic dGw6dGw=", f"Bearer {'x' * 5000}", "Bearer \xff"],
    ids=["none", "empty", "no key", "blank key", "unknown", "basic", "huge", "not ASCII"],
)
@pytest.mark.parametrize("path", ["/evaluate", "/refine", "/no-such-path"])
async def test_without_a_known_key_nothing_is_served(service: Service, path: str, authorization: str | None) -> None:
    headers = httpx.Headers({} if authorization is None else {b"Authorization": authorization.encode("latin-1")})
    async with service.client(key=None) as client:
        answer = await client.post(path, content=b"not even JSON", headers=headers)
    assert (answer.status_code, _slug(answer)) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_no_body_is_read_from_those_without_a_key(service: Service) -> None:
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"x"

    async with service.client(key=None) as client:
        assert (await client.post("/evaluate", content=chunks())).status_code == 401
    assert read == 0


@pytest.mark.parametrize(
    ("key", "path", "status"),
    [
        ("evaluator", "/evaluate", 200),
        ("evaluator", "/refine", 403),
        ("refiner", "/refine", 200),
        ("refiner", "/evaluate", 403),
        ("all", "/evaluate", 200),
    ],
)
async def test_a_key_does_what_its_scopes_say(service: Service, key: str, path: str, status: int) -> None:
    async with service.client(key=key) as client:
        assert (await client.post(path, json=GOOD)).status_code == status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_probes_metrics_and_description_need_no_key(service: Service, path: str) -> None:
    async with service.client(key=None) as client:
        assert (await client.get(path)).status_code == 200


async def test_with_auth_off_everybody_may_do_everything(make_service: MakeService) -> None:
    async with make_service(auth=Authenticator(None)).client(key=None) as client:
        assert (await client.post("/evaluate", json=GOOD)).json()["who"] == "anybody"


async def test_above_its_rate_a_key_waits_and_others_do_not(make_service: MakeService) -> None:
    service = make_service(rate="2/hour")
    async with service.client("evaluator") as client:
        statuses = [(await client.post("/evaluate", json=GOOD)).status_code for _ in range(2)]
        refused = await client.post("/evaluate", json=GOOD)
    assert statuses == [200, 200]
    assert (refused.status_code, _slug(refused)) == (429, "rate-limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    async with service.client("all") as client:
        assert (await client.post("/evaluate", json=GOOD)).status_code == 200


async def test_a_batch_costs_as_many_requests_as_it_has_items(make_service: MakeService) -> None:
    service = make_service(rate="5/hour")
    async with service.client() as client:
        assert (await client.post("/batch", json={"items": [1, 2, 3]})).status_code == 200
        assert (await client.post("/batch", json={"items": [1, 2, 3]})).status_code == 429


async def test_above_the_in_flight_limit_one_is_sent_away_and_the_probes_are_not(make_service: MakeService) -> None:
    service = make_service(max_in_flight=1)
    async with service.client() as client:
        first = asyncio.ensure_future(client.get("/slow"))
        await service.entered.wait()
        refused = await client.post("/evaluate", json=GOOD)
        alive = await client.get("/healthz")
        service.go.set()
        assert (await first).status_code == 200
        again = await client.post("/evaluate", json=GOOD)
    assert (refused.status_code, _slug(refused)) == (429, "overloaded")
    assert refused.headers["Retry-After"] == "1"
    assert (alive.status_code, again.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("sent", "most_s"),
    [(None, 20.0), ("1500", 1.5), ("999999999", 20.0)],
    ids=["the service's own", "the client's, shorter", "the client's, longer"],
)
async def test_the_earlier_deadline_holds(service: Service, sent: str | None, most_s: float) -> None:
    async with service.client() as client:
        answer = await client.get("/deadline", headers={"X-Deadline-Ms": sent} if sent else {})
    assert 0 < answer.json()["remaining_s"] <= most_s


@pytest.mark.parametrize(
    ("sent", "status"),
    [("0", 504), ("-1", 422), ("soon", 422), ("1.5", 422), ("", 422), ("9" * 40, 422), ("²", 422)],
)
async def test_a_deadline_that_is_past_or_no_number_is_a_problem(service: Service, sent: str, status: int) -> None:
    async with service.client() as client:
        answer = await client.get("/deadline", headers={b"X-Deadline-Ms": sent.encode("latin-1")})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


async def test_a_route_that_runs_past_the_deadline_is_ended(service: Service) -> None:
    async with service.client() as client:
        answer = await client.get("/slow", headers={"X-Deadline-Ms": "20"})
    assert (answer.status_code, _slug(answer)) == (504, "deadline-exceeded")
