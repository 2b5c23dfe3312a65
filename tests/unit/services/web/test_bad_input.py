"""Whatever is sent to a route, the answer to nonsense is a 4xx problem that does not repeat it."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contracts.problem import Problem
from tests.unit.services.web.conftest import BODY_LIMIT, Service

MARK = "my diary"
"""In every input, as value or as a name that is no identifier; in no answer."""


def _json(**fields: object) -> bytes:
    return json.dumps({"context": f"{MARK} context", "response": f"{MARK} response"} | fields).encode()


def _refused(answer: httpx.Response, status: int) -> Problem:
    """Check that `answer` is a well-formed problem that repeats nothing, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert MARK not in answer.text
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == status
    assert problem.type.startswith("urn:theraloop:problem:")
    assert problem.request_id == answer.headers["X-Request-ID"]
    return problem


BODIES = [
    pytest.param(b"", 422, id="no body"),
    pytest.param(_json(response=""), 422, id="empty text"),
    pytest.param(_json(response=" \t\n\u2003"), 422, id="whitespace"),
    pytest.param(_json(response=f"{MARK}\x00"), 422, id="NUL"),
    pytest.param(b'{"context": "my diary", "response": "my diary \\ud800"}', 422, id="lone surrogate escaped"),
    pytest.param(b'{"context": "my diary", "response": "my diary \xed\xa0\x80"}', 422, id="lone surrogate in bytes"),
    pytest.param(b'{"context": "my diary", "my diary\\ud800": 1}', 422, id="lone surrogate in a name"),
    pytest.param(b'{"context": "my diary", "response": ', 422, id="cut-off JSON"),
    pytest.param(b"my diary", 422, id="no JSON"),
    pytest.param(b'{"context": "my diary\xff\xfe", "response": "a"}', 400, id="not UTF-8"),
    pytest.param(b"\xff\xfe\x00z", 422, id="UTF-16 of no JSON"),
    pytest.param(b"[" * 100_000, 400, id="nested beyond reading"),
    pytest.param(_json(context=json.loads("[" * 400 + "]" * 400)), 422, id="nested 400 deep"),
    pytest.param(_json(response=f"{MARK} " + "x" * 100_001), 422, id="text above its limit"),
    pytest.param(_json(response=17), 422, id="number for text"),
    pytest.param(_json(response=None), 422, id="null for text"),
    pytest.param(_json(response=[MARK]), 422, id="list for text"),
    pytest.param(_json(context={"role": MARK}), 422, id="object for turns"),
    pytest.param(_json(context=[]), 422, id="no turns"),
    pytest.param(_json(context=[{"role": MARK, "content": "a"}]), 422, id="unknown role"),
    pytest.param(_json(context=[{"role": "user", "content": "a", MARK: 1}]), 422, id="unknown field in a turn"),
    pytest.param(_json(rationale=MARK), 422, id="text for a boolean"),
    pytest.param(_json(**{MARK: MARK}), 422, id="unknown field"),
    pytest.param(_json(**{f"{MARK} my diary {'x' * 500}": 1}), 422, id="text as a field name"),
    pytest.param(b'["my diary"]', 422, id="list for the body"),
    pytest.param(b'"my diary"', 422, id="string for the body"),
    pytest.param(b"null", 422, id="null for the body"),
    pytest.param(b'{"context": NaN, "response": Infinity}', 422, id="NaN"),
    pytest.param(_json(response="x" * BODY_LIMIT), 413, id="body above its limit"),
]


@pytest.mark.parametrize(("body", "status"), BODIES)
async def test_a_bad_body_is_a_problem_that_repeats_nothing(service: Service, body: bytes, status: int) -> None:
    async with service.client() as client:
        answer = await client.post("/evaluate", content=body, headers={"Content-Type": "application/json"})
    _refused(answer, status)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""]
)
async def test_another_content_type_is_refused(service: Service, content_type: str) -> None:
    async with service.client() as client:
        answer = await client.post("/evaluate", content=_json(), headers={"Content-Type": content_type})
    _refused(answer, 422)


@pytest.mark.parametrize(("size", "status"), [(BODY_LIMIT, 422), (BODY_LIMIT + 1, 413)], ids=["at", "one above"])
async def test_the_body_limit_holds_without_content_length(service: Service, size: int, status: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, size, 65_536):
            yield b"x" * min(65_536, size - begin)

    async with service.client() as client:
        request = client.build_request("POST", "/evaluate", content=chunks())
        assert "Content-Length" not in request.headers
        answer = await client.send(request)
    _refused(answer, status)


async def test_a_route_can_have_its_own_body_limit(service: Service) -> None:
    async with service.client() as client:
        _refused(await client.post("/refine", content=b"x" * 101), 413)


async def test_the_longest_text_allowed_passes(service: Service) -> None:
    async with service.client() as client:
        answer = await client.post("/evaluate", json={"context": "a", "response": "x" * 100_000})
    assert answer.json() == {"who": "all", "chars": 100_000}


@pytest.mark.parametrize(
    ("text", "chars"),
    [("🫂👩‍👧", 4), ("أنا متعب جدا", 12), ("e\u0301", 2), ("\u202eabc", 4)],
    ids=["emoji", "right to left", "combining", "override"],
)
async def test_unusual_text_is_text(service: Service, text: str, chars: int) -> None:
    async with service.client() as client:
        answer = await client.post("/evaluate", json={"context": text, "response": text})
    assert answer.json()["chars"] == chars


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (_json(response=""), {"body.response"}),
        (
            _json(context=[{"role": "user", "content": "a"}, {"role": "user", "content": ""}]),
            {"body.context", "body.context.1.content"},
        ),
        (b'{"context": "a"}', {"body.response"}),
        (_json(respone="a"), {"body.respone"}),
        (b"{", {"body.1"}),
    ],
    ids=["blank", "second turn", "missing", "mistyped", "invalid JSON: the position"],
)
async def test_the_fields_refused_are_named(service: Service, body: bytes, fields: set[str]) -> None:
    async with service.client() as client:
        problem = _refused(
            await client.post("/evaluate", content=body, headers={"Content-Type": "application/json"}), 422
        )
    assert {error.field for error in problem.errors} == fields


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text().map(MARK.__add__),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9).map(MARK.__add__), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(_JSON.map(lambda value: json.dumps(value).encode()), st.binary()))
async def test_random_json_and_bytes_never_break_it_nor_come_back(service: Service, body: bytes) -> None:
    async with service.client() as client:
        answer = await client.post("/evaluate", content=body, headers={"Content-Type": "application/json"})
    _refused(answer, answer.status_code)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/my-diary", 404), ("GET", "/evaluate", 405), ("POST", "/healthz", 405)],
    ids=["unknown path", "wrong method", "wrong method of an open path"],
)
async def test_what_no_route_serves_is_a_problem(service: Service, method: str, path: str, status: int) -> None:
    async with service.client() as client:
        _refused(await client.request(method, path), status)
