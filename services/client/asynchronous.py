"""The async client: only sending and waiting. What is asked, read and retried is shared with the blocking one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar, cast

import httpx
from httpx_sse import EventSource

from services import errors as service_errors
from services.client.answers import BatchReader, EventReader, Model, read, translated
from services.client.attempts import attempts
from services.client.calls import (
    Call,
    Service,
    TraceContext,
    activate_call,
    batch_call,
    checkpoints_call,
    evaluate_call,
    no_trace_context,
    ready_call,
    refine_call,
    retire_call,
    rollback_call,
    rubric_call,
)
from services.client.config import PROXYLESS_HOSTS, ClientConfig
from services.client.errors import DeadlineExceeded
from services.contracts.checkpoints import ActivateRequest, CheckpointList, CheckpointView, RollbackRequest
from services.contracts.evaluate import BatchLine, EvaluateRequest, Evaluation
from services.contracts.readiness import Readiness
from services.contracts.refine import RefineEvent, Refinement, RefineRequest
from services.deadline import Deadline
from services.llm.retry import RetryBudget
from services.rubric.rubric import Rubric

_Item = TypeVar("_Item")


class AsyncTheraloopClient:
    """Judges and refines over HTTP; an async context manager, shared by all tasks of one event loop.

    Calls fail with `ClientError`'s kinds. A deadline bounds the whole call, retries and streams included. Whoever
    leaves a stream early closes it (`contextlib.aclosing`).
    """

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        trace_context: TraceContext = no_trace_context,
    ) -> None:
        """Open no connection yet.

        `transport` replaces the network, as in tests or with a custom TLS set-up; `trace_context` gives the headers
        that join the service's spans to the caller's.
        """
        self._config = config or ClientConfig()
        self._budget = RetryBudget(self._config.retry)
        self._trace_context = trace_context
        self._http = httpx.AsyncClient(transport=transport, mounts=dict.fromkeys(PROXYLESS_HOSTS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def evaluate(
        self, request: EvaluateRequest, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> Evaluation:
        """Judge one reply."""
        return await self._answer(evaluate_call(request, self._config, deadline, request_id), Evaluation)

    async def evaluate_batch(
        self,
        items: Sequence[EvaluateRequest | Mapping[str, object]],
        *,
        deadline: Deadline | None = None,
        request_id: str | None = None,
    ) -> AsyncGenerator[BatchLine, None]:
        """Judge up to 256 replies; yield each line as it arrives, in the order in which they finish."""
        call = batch_call(items, self._config, deadline, request_id)
        reader = BatchReader(len(items))
        async with self._stream(call) as response, aclosing(_bytes(response)) as chunks:
            async for chunk in _in_time(chunks, call):
                for line in reader.feed(chunk):
                    yield line
                if reader.done:
                    return
        for line in reader.end():
            yield line

    async def refine(
        self, request: RefineRequest, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> Refinement:
        """Refine one draft."""
        return await self._answer(refine_call(request, self._config, deadline, request_id, events=False), Refinement)

    async def refine_events(
        self, request: RefineRequest, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> AsyncGenerator[RefineEvent, None]:
        """Refine one draft and yield each stage as it happens; the last event carries the refinement."""
        call = refine_call(request, self._config, deadline, request_id, events=True)
        reader = EventReader()
        async with self._stream(call) as response, aclosing(EventSource(response).aiter_sse()) as sent_events:
            async for sent in _in_time(sent_events, call):
                yield reader.read(sent)
                if reader.done:
                    return
        reader.end()

    async def rubric(self, *, deadline: Deadline | None = None, request_id: str | None = None) -> Rubric:
        """Return what the scores mean."""
        return await self._answer(rubric_call(self._config, deadline, request_id), Rubric)

    async def ready(
        self, service: Service, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> Readiness:
        """Return what every part of a service answers; unready is an answer, not an error."""
        return await self._answer(ready_call(service, self._config, deadline, request_id), Readiness)

    async def checkpoints(self, *, deadline: Deadline | None = None, request_id: str | None = None) -> CheckpointList:
        """Return the judge's checkpoints, what serves, and the latest changes; needs the scope `admin`."""
        return await self._answer(checkpoints_call(self._config, deadline, request_id), CheckpointList)

    async def activate_checkpoint(
        self, version: str, *, force: bool = False, deadline: Deadline | None = None, request_id: str | None = None
    ) -> CheckpointView:
        """Verify, load, try and switch to a checkpoint; `force` also one that is not promotable."""
        call = activate_call(version, ActivateRequest(force=force), self._config, deadline, request_id)
        return await self._answer(call, CheckpointView)

    async def roll_back_checkpoint(
        self, *, from_version: str | None = None, deadline: Deadline | None = None, request_id: str | None = None
    ) -> CheckpointList:
        """Go back to the checkpoint that served before; with `from_version` only if that one serves now."""
        call = rollback_call(RollbackRequest(from_version=from_version), self._config, deadline, request_id)
        return await self._answer(call, CheckpointList)

    async def retire_checkpoint(
        self, version: str, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> CheckpointView:
        """Take a checkpoint out of what may be promoted."""
        return await self._answer(retire_call(version, self._config, deadline, request_id), CheckpointView)

    async def _answer(self, call: Call, model: type[Model]) -> Model:
        async with self._stream(call) as response:
            async with _bounded(call):
                body = await response.aread()
            return read(model, body)

    @asynccontextmanager
    async def _stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """Hold the welcome response, whose body is still to be read."""
        async with _bounded(call):
            response = await self._send(call)
        try:
            with translated(call.url(self._config)):
                yield response
        finally:
            await response.aclose()

    async def _send(self, call: Call) -> httpx.Response:
        flow = attempts(call, self._config, self._budget)
        wait_s = next(flow)
        try:
            while True:
                await asyncio.sleep(wait_s)
                try:
                    response = await self._http.send(call.request(self._config, self._trace_context()), stream=True)
                    if response.status_code not in call.ok_statuses:
                        await response.aread()
                except httpx.TransportError as error:
                    wait_s = flow.throw(error)
                else:
                    wait_s = flow.send(response)
        except StopIteration as done:
            answer: httpx.Response = done.value
            return answer


def _bytes(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    # httpx types this generator as a mere iterator; as a generator it can be closed before its end.
    return cast("AsyncGenerator[bytes, None]", response.aiter_bytes())


async def _in_time(stream: AsyncIterator[_Item], call: Call) -> AsyncIterator[_Item]:
    """Yield the stream's items, waiting for none of them beyond the deadline; the consumer's own time is not cut."""
    while True:
        async with _bounded(call):
            try:
                item = await anext(stream)
            except StopAsyncIteration:
                return
        yield item


@asynccontextmanager
async def _bounded(call: Call) -> AsyncIterator[None]:
    try:
        async with call.deadline.enforce():
            yield
    except service_errors.DeadlineExceeded as error:
        raise DeadlineExceeded(
            "the deadline passed before the answer was there; allow more time or ask for less"
        ) from error
