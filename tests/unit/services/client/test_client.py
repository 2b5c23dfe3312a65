"""What is sent, what comes back, and what it means when something else comes back."""

import httpx
import pytest
from pydantic import SecretStr

from services.client import ClientConfig, Service, errors
from services.contracts.evaluate import BatchLine
from services.deadline import Deadline
from services.llm.retry import RetryPolicy
from tests.support.canned_answers import (
    Answer,
    Script,
    evaluation,
    json_answer,
    ndjson,
    problem,
    problem_answer,
    readiness,
    refine_events,
    refinement,
    sse,
    stream_answer,
)
from tests.unit.services.client.conftest import OpenDoor

NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"


def test_a_request_carries_key_deadline_and_request_id(door: OpenDoor) -> None:
    script = Script.of(json_answer(evaluation()))
    config = ClientConfig(judge_url="http://judge/base/", api_key=SecretStr("tl_secret"))
    answer = door(script, config).evaluate(Deadline.after(5), "abc-1")
    assert answer == evaluation()
    (sent,) = script.requests
    assert str(sent.url) == "http://judge/base/evaluate"
    assert sent.headers["Authorization"] == "Bearer tl_secret"
    assert sent.headers["X-Request-ID"] == "abc-1"
    assert 0 < int(sent.headers["X-Deadline-Ms"]) <= 5000
    assert "tl_secret" not in repr(config)


def test_without_a_key_none_is_sent_and_an_id_is_made(door: OpenDoor) -> None:
    script = Script.of(json_answer(evaluation()))
    door(script).evaluate()
    assert "Authorization" not in script.requests[0].headers
    assert len(script.requests[0].headers["X-Request-ID"]) == 32


def test_each_attempt_carries_the_trace_context_of_its_moment_which_replaces_nothing(
    door: OpenDoor,
) -> None:
    script = Script.of(problem_answer(503, "x", retryable=True), json_answer(evaluation()))
    attempts = iter(["first", "second"])
    config = ClientConfig(judge_url="http://judge", api_key=SecretStr("tl_secret"), retry=RetryPolicy(first_wait_s=0.0))
    context = lambda: {"traceparent": next(attempts), "Authorization": "Bearer mine"}  # noqa: E731
    door(script, config, context).evaluate()
    assert [sent.headers["traceparent"] for sent in script.requests] == ["first", "second"]
    assert {sent.headers["Authorization"] for sent in script.requests} == {"Bearer tl_secret"}


def test_refine_goes_to_the_agent_with_a_little_more_time_than_it_asks_for(door: OpenDoor) -> None:
    script = Script.of(json_answer(refinement()))
    assert door(script).refine() == refinement()
    assert str(script.requests[0].url) == "http://agent/base/refine"
    assert 20_000 < int(script.requests[0].headers["X-Deadline-Ms"]) <= 22_000


def test_events_end_with_the_refinement(door: OpenDoor) -> None:
    script = Script.of(stream_answer(sse(refine_events(refinement())), EVENTS))
    events = door(script).refine_events()
    assert tuple(events) == refine_events(refinement())
    assert script.requests[0].headers["Accept"] == EVENTS


def test_a_batch_gives_each_line_in_the_order_of_finishing(door: OpenDoor) -> None:
    lines = (BatchLine(index=1, evaluation=evaluation()), BatchLine(index=0, problem=problem(422, "invalid-input")))
    assert door(Script.of(stream_answer(ndjson(lines), NDJSON))).evaluate_batch(2) == list(lines)


@pytest.mark.parametrize(("status", "said"), [(200, "ready"), (503, "unready")])
def test_an_unready_service_is_an_answer(door: OpenDoor, status: int, said: str) -> None:
    script = Script.of(json_answer(readiness(said), status))
    assert door(script).ready(Service.AGENT).status == said
    assert str(script.requests[0].url) == "http://agent/base/readyz"


@pytest.mark.parametrize(
    ("status", "slug", "kind"),
    [
        pytest.param(401, "unauthenticated", errors.Unauthenticated, id="no key"),
        pytest.param(403, "forbidden", errors.Forbidden, id="no scope"),
        pytest.param(404, "not-found", errors.NotFound, id="not there"),
        pytest.param(409, "conflict", errors.Conflict, id="conflict"),
        pytest.param(413, "too-large", errors.TooLarge, id="too large"),
        pytest.param(422, "invalid-input", errors.InvalidRequest, id="invalid"),
        pytest.param(429, "rate-limited", errors.RateLimited, id="key too fast"),
        pytest.param(429, "overloaded", errors.Overloaded, id="too much in flight"),
        pytest.param(502, "engine-malformed", errors.Unavailable, id="engine talks nonsense"),
        pytest.param(503, "engine-unavailable", errors.Unavailable, id="engine down"),
        pytest.param(504, "deadline-exceeded", errors.TimedOut, id="service too late"),
        pytest.param(500, "internal", errors.ProblemError, id="bug there"),
    ],
)
def test_a_problem_is_raised_as_its_kind(
    door: OpenDoor, status: int, slug: str, kind: type[errors.ProblemError]
) -> None:
    with pytest.raises(errors.ProblemError) as raised:
        door(Script.of(problem_answer(status, slug))).evaluate()
    assert type(raised.value) is kind
    assert raised.value.problem == problem(status, slug)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(httpx.Response(200, text="<html>"), errors.MalformedAnswer, id="no JSON"),
        pytest.param(httpx.Response(200, json={"id": "x"}), errors.MalformedAnswer, id="fields missing"),
        pytest.param(httpx.Response(302, headers={"Location": "/"}), errors.MalformedAnswer, id="redirect"),
        pytest.param(httpx.Response(404, text="nginx"), errors.MalformedAnswer, id="another server"),
        pytest.param(httpx.ReadTimeout("late"), errors.DeadlineExceeded, id="no answer in time"),
        pytest.param(httpx.InvalidURL("no"), httpx.InvalidURL, id="a mistake of the caller stays his"),
    ],
)
def test_whatever_else_happens_has_one_kind(door: OpenDoor, answer: Answer, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        door(Script.of(answer)).evaluate()


def test_a_past_deadline_sends_nothing(door: OpenDoor) -> None:
    script = Script.of()
    with pytest.raises(errors.DeadlineExceeded):
        door(script).evaluate(Deadline.after(0))
    assert script.requests == []


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((BatchLine(index=0, evaluation=evaluation()),), id="one unanswered"),
        pytest.param((BatchLine(index=0, evaluation=evaluation()),) * 2, id="one answered twice"),
        pytest.param((BatchLine(index=7, evaluation=evaluation()),), id="one never sent"),
        pytest.param((BatchLine(index=0),), id="neither score nor problem"),
    ],
)
def test_an_incomplete_batch_is_no_success(door: OpenDoor, lines: tuple[BatchLine, ...]) -> None:
    with pytest.raises(errors.MalformedAnswer):
        door(Script.of(stream_answer(ndjson(lines), NDJSON))).evaluate_batch(2)


def test_a_stream_without_its_refinement_is_no_success(door: OpenDoor) -> None:
    with pytest.raises(errors.MalformedAnswer):
        door(Script.of(stream_answer(sse(refine_events(refinement())[:-1]), EVENTS))).refine_events()


def test_a_page_where_a_stream_should_be_is_malformed(door: OpenDoor) -> None:
    with pytest.raises(errors.MalformedAnswer):
        door(Script.of(stream_answer(b"<html>", "text/html"))).refine_events()


def test_a_problem_event_is_raised(door: OpenDoor) -> None:
    told = problem(503, "engine-unavailable", retryable=True)
    event = f'event: problem\ndata: {{"event": "problem", "problem": {told.model_dump_json()}}}\n\n'
    with pytest.raises(errors.Unavailable):
        door(Script.of(stream_answer(event.encode(), EVENTS))).refine_events()


def test_no_error_repeats_the_text(door: OpenDoor) -> None:
    body = evaluation().model_dump_json().replace('"checkpoint":"v1-abc"', '"checkpoint":{"secret":"diary"}')
    with pytest.raises(errors.MalformedAnswer) as raised:
        door(Script.of(httpx.Response(200, text=body))).evaluate()
    assert "diary" not in str(raised.value)
    assert "checkpoint" in str(raised.value)
