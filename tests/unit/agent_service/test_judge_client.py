import json

import httpx
import pytest
import structlog

from agent_service.judge_client import HttpJudge
from agent_service.ports import JudgeFailure
from services.client import AsyncTheraloopClient, ClientConfig
from services.contracts.conversation import Turn
from services.deadline import Deadline
from services.errors import DeadlineExceeded, DependencyUnavailable, InvalidInput, Overloaded, ServiceError
from services.llm.retry import RetryPolicy
from tests.unit.agent_service.fakes import evaluation

TURNS = (Turn(role="user", content="I am tired"),)
SCORED = json.loads(evaluation(3.0).model_dump_json())


def _problem(status: int) -> dict[str, object]:
    return {
        "type": "urn:theraloop:problem:x",
        "title": "x",
        "status": status,
        "detail": "x",
        "request_id": "r",
        "retryable": False,
    }


def _judge(status: int, body: bytes, content_type: str) -> HttpJudge:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body, headers={"Content-Type": content_type})

    config = ClientConfig(judge_url="http://judge", retry=RetryPolicy(attempts=1))
    return HttpJudge(AsyncTheraloopClient(config, transport=httpx.MockTransport(answer)))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (422, InvalidInput),
        (429, Overloaded),
        (500, DependencyUnavailable),
        (502, DependencyUnavailable),
        (503, DependencyUnavailable),
        (504, DeadlineExceeded),
        (401, DependencyUnavailable),
    ],
)
async def test_each_answer_of_the_judge_becomes_one_error(status: int, error: type[ServiceError]) -> None:
    judge = _judge(status, json.dumps(_problem(status)).encode(), "application/problem+json")
    with pytest.raises(error):
        await judge.evaluate(TURNS, "reply", Deadline.after(5))


async def test_the_judge_is_asked_under_the_id_of_the_request_that_is_being_answered() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=SCORED)

    client = AsyncTheraloopClient(ClientConfig(judge_url="http://judge"), transport=httpx.MockTransport(answer))
    with structlog.contextvars.bound_contextvars(request_id="partner-7"):
        await HttpJudge(client).evaluate(TURNS, "reply", Deadline.after(5))
    assert sent[0].headers["X-Request-ID"] == "partner-7"


async def test_a_judgment_is_returned() -> None:
    judge = _judge(200, json.dumps(SCORED).encode(), "application/json")
    assert (await judge.evaluate(TURNS, "reply", Deadline.after(5))).overall == 3.0


async def test_a_batch_keeps_its_order_and_carries_failures() -> None:
    lines = [{"index": 1, "evaluation": SCORED}, {"index": 0, "problem": _problem(504)}]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    first, second = await _judge(200, body, "application/x-ndjson").evaluate_many(TURNS, ["a", "b"], Deadline.after(5))
    assert isinstance(first, JudgeFailure)
    assert isinstance(first.error, DeadlineExceeded)
    assert not isinstance(second, JudgeFailure)


async def test_a_batch_that_fails_as_a_whole_fails_each_reply() -> None:
    judge = _judge(503, json.dumps(_problem(503)).encode(), "application/problem+json")
    results = await judge.evaluate_many(TURNS, ["a", "b"], Deadline.after(5))
    assert all(isinstance(item, JudgeFailure) for item in results)
    assert len(results) == 2
