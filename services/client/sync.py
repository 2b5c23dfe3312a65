"""The blocking client: only sending and waiting. What is asked, read and retried is shared with the async one."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import httpx
from httpx_sse import EventSource

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


class TheraloopClient:
    """Judges and refines over HTTP; a context manager. May be shared by threads.

    Calls fail with `ClientError`'s kinds. A deadline covers the whole call, retries included. Being blocking, it is
    looked at between reads, and one read may take as long as was left when the request was sent.
    """

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        trace_context: TraceContext = no_trace_context,
    ) -> None:
        """Open no connection yet.

        `transport` replaces the network, as in tests or with a custom TLS set-up; `trace_context` gives the headers
        that join the service's spans to the caller's.
        """
        self._config = config or ClientConfig()
        self._budget = RetryBudget(self._config.retry)
        self._trace_context = trace_context
        self._http = httpx.Client(transport=transport, mounts=dict.fromkeys(PROXYLESS_HOSTS))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def evaluate(
        self, request: EvaluateRequest, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> Evaluation:
        """Judge one reply."""
        return self._answer(evaluate_call(request, self._config, deadline, request_id), Evaluation)

    def evaluate_batch(
        self,
        items: Sequence[EvaluateRequest | Mapping[str, object]],
        *,
        deadline: Deadline | None = None,
        request_id: str | None = None,
    ) -> Iterator[BatchLine]:
        """Judge up to 256 replies; yield each line as it arrives, in the order in which they finish."""
        call = batch_call(items, self._config, deadline, request_id)
        reader = BatchReader(len(items))
        with self._stream(call) as response:
            for chunk in response.iter_bytes():
                yield from reader.feed(chunk)
                if reader.done:
                    return
                _check(call)
        yield from reader.end()

    def refine(
        self, request: RefineRequest, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> Refinement:
        """Refine one draft."""
        return self._answer(refine_call(request, self._config, deadline, request_id, events=False), Refinement)

    def refine_events(
        self, request: RefineRequest, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> Iterator[RefineEvent]:
        """Refine one draft and yield each stage as it happens; the last event carries the refinement."""
        call = refine_call(request, self._config, deadline, request_id, events=True)
        reader = EventReader()
        with self._stream(call) as response:
            for sent in EventSource(response).iter_sse():
                yield reader.read(sent)
                if reader.done:
                    return
                _check(call)
        reader.end()

    def rubric(self, *, deadline: Deadline | None = None, request_id: str | None = None) -> Rubric:
        """Return what the scores mean."""
        return self._answer(rubric_call(self._config, deadline, request_id), Rubric)

    def ready(self, service: Service, *, deadline: Deadline | None = None, request_id: str | None = None) -> Readiness:
        """Return what every part of a service answers; unready is an answer, not an error."""
        return self._answer(ready_call(service, self._config, deadline, request_id), Readiness)

    def checkpoints(self, *, deadline: Deadline | None = None, request_id: str | None = None) -> CheckpointList:
        """Return the judge's checkpoints, what serves, and the latest changes; needs the scope `admin`."""
        return self._answer(checkpoints_call(self._config, deadline, request_id), CheckpointList)

    def activate_checkpoint(
        self, version: str, *, force: bool = False, deadline: Deadline | None = None, request_id: str | None = None
    ) -> CheckpointView:
        """Verify, load, try and switch to a checkpoint; `force` also one that is not promotable."""
        call = activate_call(version, ActivateRequest(force=force), self._config, deadline, request_id)
        return self._answer(call, CheckpointView)

    def roll_back_checkpoint(
        self, *, from_version: str | None = None, deadline: Deadline | None = None, request_id: str | None = None
    ) -> CheckpointList:
        """Go back to the checkpoint that served before; with `from_version` only if that one serves now."""
        call = rollback_call(RollbackRequest(from_version=from_version), self._config, deadline, request_id)
        return self._answer(call, CheckpointList)

    def retire_checkpoint(
        self, version: str, *, deadline: Deadline | None = None, request_id: str | None = None
    ) -> CheckpointView:
        """Take a checkpoint out of what may be promoted."""
        return self._answer(retire_call(version, self._config, deadline, request_id), CheckpointView)

    def _answer(self, call: Call, model: type[Model]) -> Model:
        with self._stream(call) as response:
            return read(model, response.read())

    @contextmanager
    def _stream(self, call: Call) -> Iterator[httpx.Response]:
        """Hold the welcome response, whose body is still to be read."""
        response = self._send(call)
        try:
            with translated(call.url(self._config)):
                yield response
        finally:
            response.close()

    def _send(self, call: Call) -> httpx.Response:
        flow = attempts(call, self._config, self._budget)
        wait_s = next(flow)
        try:
            while True:
                time.sleep(wait_s)
                try:
                    response = self._http.send(call.request(self._config, self._trace_context()), stream=True)
                    if response.status_code not in call.ok_statuses:
                        response.read()
                except httpx.TransportError as error:
                    wait_s = flow.throw(error)
                else:
                    wait_s = flow.send(response)
        except StopIteration as done:
            answer: httpx.Response = done.value
            return answer


def _check(call: Call) -> None:
    if call.deadline.expired:
        raise DeadlineExceeded("the deadline passed while the answer arrived; allow more time or ask for less")
