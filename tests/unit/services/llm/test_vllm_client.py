"""What the client asks of vLLM, what it makes of every answer, and when it tries again, on a scripted transport."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry
from pydantic import HttpUrl, SecretStr

from services.deadline import Deadline
from services.errors import (
    Conflict,
    DeadlineExceeded,
    EngineMalformed,
    EngineUnavailable,
    InvalidInput,
    NotFound,
    Overloaded,
    ServiceError,
)
from services.llm.port import CompletionRequest, Message
from services.llm.retry import RetryPolicy
from services.llm.vllm import VLLMClient
from services.settings import EngineSettings
from services.telemetry.metrics import PlatformMetrics

Handler = Callable[[httpx.Request], Any]
TEXT = "a private diary"


class Engine:
    """A client on a scripted transport, and what was sent over it."""

    def __init__(self, handler: Handler, *, attempts: int = 3, **settings: Any) -> None:
        self.sent: list[httpx.Request] = []
        self.metrics = PlatformMetrics(CollectorRegistry())
        self._handler = handler
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._handle))
        engine = EngineSettings(url=HttpUrl("http://engine:8000"), **settings)
        policy = RetryPolicy(attempts=attempts, first_wait_s=0.0)
        self.client = VLLMClient(engine, http, self.metrics, retry=policy)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        answer = self._handler(request)
        response: httpx.Response = await answer if asyncio.iscoroutine(answer) else answer
        return response

    def sample(self, name: str, **labels: str) -> float | None:
        """Return one metric's value."""
        return self.metrics.registry.get_sample_value(name, labels)


def _request(**changes: Any) -> CompletionRequest:
    fields: dict[str, Any] = {"kind": "verdict", "model": "m", "prompt_ids": (2, 7), "max_tokens": 2}
    return CompletionRequest(**fields | changes)


def _choice(index: int = 0, **changes: Any) -> dict[str, Any]:
    logprobs = {
        "top_logprobs": [{"token_id:11": -0.1, "token_id:12": -2.3}, {"token_id:12": -0.2, "token_id:11": -1.7}]
    }
    choice = {"index": index, "text": "12", "token_ids": [11, 12], "finish_reason": "length", "logprobs": logprobs}
    return choice | changes


def _answer(*choices: dict[str, Any], **changes: Any) -> httpx.Response:
    usage = {"prompt_tokens": 2, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    return httpx.Response(200, json={"choices": list(choices or (_choice(),)), "usage": usage} | changes)


def _error(status: int, message: str = "", param: str | None = None) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "type": "E", "param": param, "code": status}})


async def _complete(engine: Engine, **changes: Any) -> Any:
    return await engine.client.complete(_request(**changes), Deadline.after(30))


async def test_token_ids_go_out_and_log_probabilities_come_back_by_id() -> None:
    engine = Engine(lambda _: _answer(), api_key=SecretStr("k"))
    result = await _complete(
        engine, allowed_token_ids=(11, 12), logprobs=2, seed=5, stop=("x",), cache_salt="s", priority=3
    )
    (request,) = engine.sent
    assert (request.url.path, request.headers["Authorization"]) == ("/v1/completions", "Bearer k")
    body = json.loads(request.content)
    expected = {"model": "m", "prompt": [2, 7], "max_tokens": 2, "temperature": 0.0, "n": 1, "logprobs": 2, "seed": 5}
    expected |= {"allowed_token_ids": [11, 12], "stop": ["x"], "cache_salt": "s", "priority": 3}
    expected |= {"return_tokens_as_token_ids": True, "return_token_ids": True}
    assert expected.items() <= body.items()
    (choice,) = result.choices
    assert (choice.text, choice.token_ids, choice.finish_reason) == ("12", (11, 12), "length")
    assert choice.top_logprobs == ({11: -0.1, 12: -2.3}, {12: -0.2, 11: -1.7})
    assert (result.usage.prompt_tokens, result.usage.completion_tokens, result.usage.cached_tokens) == (2, 2, 1)


async def test_messages_go_to_the_chat_endpoint() -> None:
    tops = [{"token": "token_id:11", "logprob": -0.1, "top_logprobs": [{"token": "token_id:11", "logprob": -0.1}]}]
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "token_ids": [11], "finish_reason": "stop"}
    engine = Engine(lambda _: _answer(choice | {"logprobs": {"content": tops}}))
    messages = (Message("system", "be kind"), Message("user", "hello"))
    result = await _complete(engine, prompt_ids=None, messages=messages, logprobs=1)
    body = json.loads(engine.sent[0].content)
    assert engine.sent[0].url.path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
    assert (body["logprobs"], body["top_logprobs"]) == (True, 1)
    assert (result.choices[0].text, result.choices[0].top_logprobs) == ("hi", ({11: -0.1},))


async def test_choices_come_in_the_engines_order() -> None:
    engine = Engine(lambda _: _answer(_choice(1, text="b"), _choice(0, text="a")))
    assert [choice.text for choice in (await _complete(engine, n=2)).choices] == ["a", "b"]


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (httpx.Response(200, content=b"not JSON"), {}),
        (httpx.Response(200, json={}), {}),
        (_answer(usage=None), {}),
        (_answer(choices=[]), {}),
        (_answer(_choice(0), _choice(1)), {"n": 1}),
        (_answer(_choice(0), _choice(0)), {"n": 2}),
        (_answer(_choice(logprobs=None)), {"logprobs": 2}),
        (_answer(_choice(token_ids=[11])), {"logprobs": 2}),
        (_answer(_choice(token_ids=None)), {}),
        (_answer(_choice(finish_reason="abort")), {}),
        (_answer(_choice(finish_reason=None)), {}),
        (_answer(_choice(logprobs={"top_logprobs": [{"one": -0.1}, {"two": -0.1}]})), {"logprobs": 1}),
    ],
    ids=[
        "no JSON",
        "empty",
        "no usage",
        "no choice",
        "too many",
        "the same twice",
        "no log-probabilities",
        "too few of them",
        "no token ids",
        "aborted",
        "unfinished",
        "tokens as text",
    ],
)
async def test_an_answer_that_lacks_what_was_asked_for_is_malformed(
    answer: httpx.Response, asked: dict[str, Any]
) -> None:
    engine = Engine(lambda _: answer)
    with pytest.raises(EngineMalformed):
        await _complete(engine, **asked)
    assert engine.sample("theraloop_engine_errors_total", kind="verdict", error="EngineMalformed") == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_error(400, f"{TEXT} is too long", "input_tokens"), InvalidInput),
        (_error(400, f"{TEXT} is no token"), EngineMalformed),
        (_error(404, "no model"), EngineUnavailable),
        (_error(401), EngineUnavailable),
        (_error(429), Overloaded),
        (_error(500, TEXT), EngineUnavailable),
        (httpx.Response(502, text="<html>"), EngineUnavailable),
    ],
    ids=["above the window", "refused", "unknown model", "bad key", "too many", "engine broke", "a proxy's page"],
)
async def test_a_refusal_is_translated_once_and_not_tried_again(
    answer: httpx.Response, error: type[ServiceError]
) -> None:
    engine = Engine(lambda _: answer)
    with structlog.testing.capture_logs() as logged, pytest.raises(error) as raised:
        await _complete(engine)
    assert len(engine.sent) == 1
    assert TEXT not in raised.value.detail + json.dumps(logged)


def _fails_with(*failures: type[httpx.TransportError] | int) -> Handler:
    left = list(failures)

    def handler(request: httpx.Request) -> httpx.Response:
        failure = left.pop(0) if left else 200
        if isinstance(failure, int):
            return _answer() if failure == 200 else _error(failure)
        raise failure("it happened", request=request)

    return handler


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError, httpx.ConnectTimeout, httpx.RemoteProtocolError, httpx.ReadError, 503],
    ids=str,
)
async def test_what_never_got_an_answer_is_tried_again(failure: type[httpx.TransportError] | int) -> None:
    engine = Engine(_fails_with(failure, failure))
    await _complete(engine)
    assert len(engine.sent) == 3
    assert engine.sample("theraloop_engine_retries_total", kind="verdict") == 2


async def test_it_is_tried_a_few_times_only() -> None:
    engine = Engine(_fails_with(*[httpx.ConnectError] * 9))
    with pytest.raises(EngineUnavailable):
        await _complete(engine)
    assert len(engine.sent) == 3


async def test_an_engine_in_trouble_is_not_asked_three_times_as_often() -> None:
    engine = Engine(_fails_with(*[503] * 1000))
    for _ in range(100):
        with pytest.raises(EngineUnavailable):
            await _complete(engine)
    # 100 first attempts, the ten retries of a full budget, and the tenth of a retry that each request earns.
    assert 100 < len(engine.sent) <= 100 + 10 + 10


async def test_time_running_out_ends_the_wait() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Future()
        raise AssertionError

    engine = Engine(never)
    with pytest.raises(DeadlineExceeded):
        await engine.client.complete(_request(), Deadline.after(0.01))
    with pytest.raises(DeadlineExceeded):
        await engine.client.complete(_request(), Deadline.after(0))
    assert len(engine.sent) == 1, "with no time left nothing is sent"


async def test_above_its_slots_requests_wait_and_above_its_queue_they_are_refused() -> None:
    go = asyncio.Event()

    async def when_told(_: httpx.Request) -> httpx.Response:
        await go.wait()
        return _answer()

    engine = Engine(when_told, max_concurrency=2, max_queue=1)
    async with asyncio.TaskGroup() as group:
        admitted = [group.create_task(_complete(engine)) for _ in range(3)]
        async with asyncio.timeout(5):
            while len(engine.sent) < 2:  # noqa: ASYNC110  the transport has no event for it
                await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await _complete(engine)
        assert len(engine.sent) == 2
        go.set()
    assert len([task.result() for task in admitted]) == 3
    await _complete(engine)


async def test_a_waiter_that_is_cancelled_leaves_its_place() -> None:
    go = asyncio.Event()

    async def when_told(_: httpx.Request) -> httpx.Response:
        await go.wait()
        return _answer()

    engine = Engine(when_told, max_concurrency=1, max_queue=1)
    first, waiting = (asyncio.ensure_future(_complete(engine)) for _ in range(2))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    instead = asyncio.ensure_future(_complete(engine))
    go.set()
    await asyncio.gather(first, instead)


async def test_the_request_id_goes_along_with_a_suffix() -> None:
    engine = Engine(lambda _: _answer())
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        await _complete(engine)
        await _complete(engine)
    first, second = (request.headers["X-Request-Id"] for request in engine.sent)
    assert first.startswith("r1-")
    assert first != second


async def test_tokens_and_time_are_counted_by_kind() -> None:
    engine = Engine(lambda _: _answer())
    await _complete(engine, kind="critic")
    for direction, count in (("prompt", 2), ("cached", 1), ("completion", 2)):
        assert engine.sample("theraloop_engine_tokens_total", kind="critic", direction=direction) == count
    assert engine.sample("theraloop_engine_request_seconds_count", kind="critic") == 1
    assert engine.sample("theraloop_engine_queue_seconds_count", kind="critic") == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_error(404, "No adapter found for /a"), NotFound),
        (_error(400, "The lora adapter 'a' has already been loaded."), Conflict),
        (_error(400, "LoRA rank 64 is greater than max_lora_rank 16."), EngineMalformed),
        (_error(500, "out of memory"), EngineUnavailable),
    ],
    ids=["no folder", "loaded already", "rank too high", "engine broke"],
)
async def test_an_adapter_refused_says_why(answer: httpx.Response, error: type[ServiceError]) -> None:
    engine = Engine(lambda _: answer)
    with pytest.raises(error) as raised:
        await engine.client.load_adapter("a", "/a", Deadline.after(30))
    assert answer.json()["error"]["message"] in raised.value.detail


async def test_adapters_are_loaded_listed_and_unloaded() -> None:
    engine = Engine(
        lambda request: httpx.Response(
            200, json={"data": [{"id": "base"}, {"id": "a"}]} if request.method == "GET" else None
        )
    )
    deadline = Deadline.after(30)
    await engine.client.load_adapter("a", "/adapters/a", deadline)
    assert await engine.client.models(deadline) == ("base", "a")
    await engine.client.unload_adapter("a", deadline)
    await engine.client.check(deadline)
    assert [(sent.method, sent.url.path) for sent in engine.sent] == [
        ("POST", "/v1/load_lora_adapter"),
        ("GET", "/v1/models"),
        ("POST", "/v1/unload_lora_adapter"),
        ("GET", "/health"),
    ]
    assert json.loads(engine.sent[0].content) == {"lora_name": "a", "lora_path": "/adapters/a"}


@pytest.mark.parametrize(
    "prompts",
    [{}, {"prompt": "a", "prompt_ids": (1,)}, {"prompt": "a", "messages": ()}],
    ids=["none", "two", "two with messages"],
)
def test_a_request_has_exactly_one_prompt(prompts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        CompletionRequest(kind="verdict", model="m", max_tokens=1, **prompts)


def test_a_request_has_no_more_stops_than_the_engine_allows() -> None:
    with pytest.raises(ValueError, match="at most 4"):
        CompletionRequest(kind="critic", model="m", max_tokens=1, prompt="a", stop=("1", "2", "3", "4", "5"))


QUEUE = """# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 9.0
"""


async def test_the_engines_queue_is_read_from_its_own_metrics() -> None:
    engine = Engine(lambda _: httpx.Response(200, text=QUEUE))
    assert await engine.client.waiting(Deadline.after(30)) == 3
    assert engine.sent[0].url.path == "/metrics"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, text=""), EngineMalformed),
        (httpx.Response(200, text='vllm:num_requests_waiting{engine="0"} NaN'), EngineMalformed),
        (httpx.Response(500), EngineUnavailable),
    ],
    ids=["no such metric", "no number", "engine broke"],
)
async def test_an_engine_that_does_not_say_how_busy_it_is(answer: httpx.Response, error: type[ServiceError]) -> None:
    engine = Engine(lambda _: answer)
    with pytest.raises(error):
        await engine.client.waiting(Deadline.after(30))
