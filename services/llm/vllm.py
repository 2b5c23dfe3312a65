"""The completion port on vLLM's own server, over HTTP.

A request waits for one of this process's slots, is sent with what remains of its deadline, and is sent again only when
it never reached the engine or the engine said 503. Every transport error and refusal is translated here, once.
Cancelling a call closes its connection, and vLLM then stops working on it.
"""

import asyncio
import secrets
import time
from typing import Any, Final, NoReturn

import httpx
import structlog

from services.deadline import Deadline
from services.errors import (
    Conflict,
    EngineMalformed,
    EngineUnavailable,
    InvalidInput,
    NotFound,
    Overloaded,
    ServiceError,
)
from services.llm.port import CompletionRequest, CompletionResult
from services.llm.retry import RetryBudget, RetryPolicy
from services.llm.slots import Slots
from services.llm.wire import body_of, error_of, models_of, path_of, result_of, waiting_of
from services.settings import EngineSettings
from services.telemetry.metrics import PlatformMetrics
from services.telemetry.tracing import UNTRACED, Attribute, Kind, Span, Tracer

_CONNECT_TIMEOUT_S: Final = 2.0
_MAX_ENGINE_MESSAGE_CHARS: Final = 300
_NEVER_ANSWERED: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.RemoteProtocolError,
    httpx.ReadError,
    httpx.WriteError,
)
"""The engine gave no answer at all. Completing has no side effects, so it may be sent again."""
_log = structlog.get_logger(__name__)


class VLLMClient:
    """One vLLM server.

    `http` is owned by the caller, who closes it; its pool must hold `max_concurrency` connections.
    """

    def __init__(
        self,
        settings: EngineSettings,
        http: httpx.AsyncClient,
        metrics: PlatformMetrics,
        *,
        retry: RetryPolicy | None = None,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._base_url = str(settings.url).rstrip("/")
        self._http = http
        self._metrics = metrics
        self._tracer = tracer
        key = settings.api_key
        self._auth = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._slots = Slots(settings.max_concurrency, settings.max_queue)
        self._budget = RetryBudget(retry or RetryPolicy())

    async def complete(self, request: CompletionRequest, deadline: Deadline) -> CompletionResult:
        """Return exactly `request.n` choices; see the port."""
        about = {Attribute.ENGINE_KIND: request.kind, Attribute.MODEL: request.model}
        with self._tracer.span(f"engine {request.kind}", about, kind=Kind.CLIENT) as span:
            result = await self._complete(request, deadline, span)
            span.set(
                {
                    Attribute.PROMPT_TOKENS: result.usage.prompt_tokens,
                    Attribute.COMPLETION_TOKENS: result.usage.completion_tokens,
                }
            )
        self._count_tokens(request.kind, result)
        return result

    async def _complete(self, request: CompletionRequest, deadline: Deadline, span: Span) -> CompletionResult:
        kind = request.kind
        try:
            async with deadline.enforce():
                asked_s = time.perf_counter()
                async with self._slots.slot():
                    began_s = time.perf_counter()
                    self._metrics.engine_queue_seconds.labels(kind).observe(began_s - asked_s)
                    span.set({Attribute.ENGINE_QUEUE_S: began_s - asked_s})
                    response = await self._send("POST", path_of(request), deadline, kind, body_of(request))
                    self._metrics.engine_seconds.labels(kind).observe(time.perf_counter() - began_s)
            if response.is_error:
                _refused(response)
            return result_of(request, response.content)
        except ServiceError as error:
            self._metrics.engine_errors.labels(kind, type(error).__name__).inc()
            raise

    async def models(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the names of the base model and of all loaded adapters."""
        async with deadline.enforce():
            response = await self._send("GET", "/v1/models", deadline, "models")
        if response.is_error:
            _refused(response)
        return models_of(response.content)

    async def load_adapter(self, name: str, path: str, deadline: Deadline) -> None:
        """Load an adapter folder under a new name; see the port."""
        body = {"lora_name": name, "lora_path": path}
        async with deadline.enforce():
            response = await self._send("POST", "/v1/load_lora_adapter", deadline, "load_adapter", body)
        if response.is_error:
            _adapter_refused(response)

    async def unload_adapter(self, name: str, deadline: Deadline) -> None:
        """Unload an adapter; see the port."""
        async with deadline.enforce():
            body = {"lora_name": name}
            response = await self._send("POST", "/v1/unload_lora_adapter", deadline, "unload_adapter", body)
        if response.is_error:
            _adapter_refused(response)

    async def waiting(self, deadline: Deadline) -> int:
        """Return how many requests wait in the engine's queue, as its own metrics say; see the port."""
        async with deadline.enforce():
            response = await self._send("GET", "/metrics", deadline, "metrics")
        if response.is_error:
            _refused(response)
        return waiting_of(response.text)

    async def check(self, deadline: Deadline) -> None:
        """Return when the engine says that it is healthy; raise EngineUnavailable or DeadlineExceeded."""
        async with deadline.enforce():
            response = await self._send("GET", "/health", deadline, "health")
        if response.is_error:
            raise EngineUnavailable("the model server says that it is not healthy")

    async def _send(
        self, method: str, path: str, deadline: Deadline, kind: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        """Send until it is answered by something other than 503, or no attempt is left."""
        self._budget.earn()
        retries = 0
        while True:
            failure: httpx.TransportError | None = None
            try:
                response = await self._once(method, path, body)
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return response
            except httpx.TransportError as error:
                failure = error
            wait_s = self._budget.wait_before_retry_s(retries, deadline)
            if wait_s is None or not (failure is None or isinstance(failure, _NEVER_ANSWERED)):
                raise EngineUnavailable("the model server does not answer") from failure
            retries += 1
            self._metrics.engine_retries.labels(kind).inc()
            await asyncio.sleep(wait_s)

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        # The deadline around the call bounds all; connecting is worth giving up sooner, as it can be tried again.
        timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        headers = {**self._auth, **_engine_request_id(), **self._tracer.headers()}
        return await self._http.request(method, self._base_url + path, json=body, headers=headers, timeout=timeout)

    def _count_tokens(self, kind: str, result: CompletionResult) -> None:
        tokens = self._metrics.engine_tokens
        tokens.labels(kind, "prompt").inc(result.usage.prompt_tokens)
        tokens.labels(kind, "cached").inc(result.usage.cached_tokens)
        tokens.labels(kind, "completion").inc(result.usage.completion_tokens)


def _engine_request_id() -> dict[str, str]:
    """Return our request id with a suffix:

    vLLM logs it and needs it unique, and one request of ours asks several times.
    """
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {"X-Request-Id": f"{request_id}-{secrets.token_hex(4)}"} if request_id else {}


def _refused(response: httpx.Response) -> NoReturn:
    """Raise what the refusal of a completion means. The engine's message may quote the prompt and is not passed on."""
    said = error_of(response.content)
    status = response.status_code
    _log.warning("engine_refused", status=status, error_type=said.type, param=said.param)
    if status == httpx.codes.BAD_REQUEST and said.param == "input_tokens":
        raise InvalidInput("the prompt does not fit the model's window; send less text")
    if status == httpx.codes.NOT_FOUND:
        raise EngineUnavailable("the model server does not serve the model that was asked for")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise Overloaded("the model server has too many requests; try again shortly")
    if response.is_server_error or status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise EngineUnavailable(f"the model server answered {status}")
    raise EngineMalformed(f"the model server refused the request as malformed ({status})")


def _adapter_refused(response: httpx.Response) -> NoReturn:
    """Raise what the refusal of an adapter means. Its message names folders and ranks, not text: operators need it."""
    said = error_of(response.content).message[:_MAX_ENGINE_MESSAGE_CHARS]
    status = response.status_code
    if status == httpx.codes.NOT_FOUND:
        raise NotFound(said or "the model server knows no such adapter")
    if status == httpx.codes.BAD_REQUEST and "already" in said:
        raise Conflict(said)
    if response.is_server_error:
        raise EngineUnavailable(f"the model server answered {status}: {said}")
    raise EngineMalformed(f"the model server cannot use the adapter: {said}")
