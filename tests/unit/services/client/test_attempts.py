"""When a call is sent again, and how long it waits; the generator is driven without a network or a clock to wait on."""

import httpx
import pytest

from services.client import ClientConfig, errors
from services.client.attempts import attempts
from services.client.calls import Call, evaluate_call
from services.contracts.evaluate import EvaluateRequest
from services.deadline import Deadline
from services.llm.retry import RetryBudget, RetryPolicy
from tests.support.canned_answers import Answer, Script, evaluation, json_answer, problem_answer
from tests.unit.services.client.conftest import OpenDoor

_NO_JITTER = ClientConfig(retry=RetryPolicy(first_wait_s=0.0))


def _call(deadline_s: float = 30.0) -> Call:
    request = EvaluateRequest(context="a", response="b")
    return evaluate_call(request, _NO_JITTER, Deadline.after(deadline_s), "r-1")


def _waits(*answers: Answer, deadline_s: float = 30.0, budget: RetryBudget | None = None) -> list[float]:
    """Return the wait before each attempt; the last answer is the one that ends the call."""
    flow = attempts(_call(deadline_s), _NO_JITTER, budget or RetryBudget(_NO_JITTER.retry))
    waits = [next(flow)]
    try:
        for answer in answers:
            if isinstance(answer, Exception):
                waits.append(flow.throw(answer))
            else:
                answer.request = _call().request(_NO_JITTER, {})
                waits.append(flow.send(answer))
    except StopIteration:
        pass
    return waits


def _overloaded(retry_after: str | None = None) -> httpx.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return problem_answer(429, "overloaded", retryable=True, headers=headers)


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(_overloaded(), id="overloaded"),
        pytest.param(problem_answer(503, "engine-unavailable", retryable=True), id="engine down"),
        pytest.param(httpx.Response(503, text="no healthy upstream"), id="gateway without a service"),
        pytest.param(httpx.ConnectError("refused"), id="nothing listens"),
        pytest.param(httpx.RemoteProtocolError("disconnected"), id="connection broke"),
    ],
)
def test_what_may_succeed_later_is_sent_again(door: OpenDoor, failure: Answer) -> None:
    script = Script.of(failure, json_answer(evaluation()))
    assert door(script).evaluate(request_id="r-9") == evaluation()
    assert [sent.headers["X-Request-ID"] for sent in script.requests] == ["r-9", "r-9"]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(problem_answer(422, "invalid-input"), id="refused"),
        pytest.param(httpx.ReadTimeout("late"), id="no time left"),
        pytest.param(httpx.Response(200, text="{}"), id="malformed"),
    ],
)
def test_what_cannot_succeed_is_sent_once(door: OpenDoor, failure: Answer) -> None:
    script = Script.of(failure)
    with pytest.raises(errors.ClientError):
        door(script).evaluate()
    assert len(script.requests) == 1


def test_attempts_end() -> None:
    with pytest.raises(errors.Overloaded):
        _waits(*[_overloaded()] * 3)


def test_retry_after_is_waited_for() -> None:
    assert _waits(_overloaded("2"), json_answer(evaluation())) == [0.0, 2.0]


@pytest.mark.parametrize("header", ["soon", "-3", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_strange_retry_after_is_as_good_as_none(header: str) -> None:
    assert _waits(_overloaded(header), json_answer(evaluation())) == [0.0, 0.0]


def test_nothing_waits_beyond_the_deadline() -> None:
    with pytest.raises(errors.Overloaded) as raised:
        _waits(_overloaded("5"), deadline_s=4.0)
    assert raised.value.retry_after_s == 5.0


def test_the_budget_bounds_the_retries_of_all_calls() -> None:
    budget = RetryBudget(RetryPolicy(first_wait_s=0.0, largest_budget=1.0, earned_per_request=0.0))
    assert _waits(_overloaded(), json_answer(evaluation()), budget=budget) == [0.0, 0.0]
    with pytest.raises(errors.Overloaded):
        _waits(_overloaded(), budget=budget)
