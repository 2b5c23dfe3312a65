"""Every behaviour of the client is tested through both of its doors, blocking and async."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, TypeVar

import pytest

from services.client import AsyncTheraloopClient, ClientConfig, Service, TheraloopClient
from services.client.calls import TraceContext, no_trace_context
from services.contracts.evaluate import BatchLine, EvaluateRequest, Evaluation
from services.contracts.readiness import Readiness
from services.contracts.refine import RefineEvent, Refinement, RefineRequest
from services.deadline import Deadline
from services.llm.retry import RetryPolicy
from tests.support.canned_answers import Script

REQUEST = EvaluateRequest(context="I failed", response="Tell me more")
DRAFT = RefineRequest(context="My dog died", response="Get another", deadline_ms=20_000)
CONFIG = ClientConfig(judge_url="http://judge", agent_url="http://agent/base/", retry=RetryPolicy(first_wait_s=0.0))
Result = TypeVar("Result")


class Door(Protocol):
    """One way into the client; streams are read to their end."""

    def evaluate(self, deadline: Deadline | None = None, request_id: str | None = None) -> Evaluation: ...
    def evaluate_batch(self, count: int) -> list[BatchLine]: ...
    def refine(self) -> Refinement: ...
    def refine_events(self) -> list[RefineEvent]: ...
    def ready(self, service: Service) -> Readiness: ...


OpenDoor = Callable[..., Door]


@dataclass(frozen=True)
class _Blocking:
    script: Script
    config: ClientConfig = CONFIG
    trace_context: TraceContext = no_trace_context

    def _client(self) -> TheraloopClient:
        return TheraloopClient(self.config, transport=self.script.transport(), trace_context=self.trace_context)

    def evaluate(self, deadline: Deadline | None = None, request_id: str | None = None) -> Evaluation:
        with self._client() as client:
            return client.evaluate(REQUEST, deadline=deadline, request_id=request_id)

    def evaluate_batch(self, count: int) -> list[BatchLine]:
        with self._client() as client:
            return list(client.evaluate_batch([REQUEST] * count))

    def refine(self) -> Refinement:
        with self._client() as client:
            return client.refine(DRAFT)

    def refine_events(self) -> list[RefineEvent]:
        with self._client() as client:
            return list(client.refine_events(DRAFT))

    def ready(self, service: Service) -> Readiness:
        with self._client() as client:
            return client.ready(service)


@dataclass(frozen=True)
class _Async:
    script: Script
    config: ClientConfig = CONFIG
    trace_context: TraceContext = no_trace_context

    def _run(self, use: Callable[[AsyncTheraloopClient], Coroutine[None, None, Result]]) -> Result:
        async def run() -> Result:
            async with AsyncTheraloopClient(
                self.config, transport=self.script.transport(), trace_context=self.trace_context
            ) as client:
                return await use(client)

        return asyncio.run(run())

    def evaluate(self, deadline: Deadline | None = None, request_id: str | None = None) -> Evaluation:
        return self._run(lambda client: client.evaluate(REQUEST, deadline=deadline, request_id=request_id))

    def evaluate_batch(self, count: int) -> list[BatchLine]:
        async def read(client: AsyncTheraloopClient) -> list[BatchLine]:
            async with aclosing(client.evaluate_batch([REQUEST] * count)) as lines:
                return [line async for line in lines]

        return self._run(read)

    def refine(self) -> Refinement:
        return self._run(lambda client: client.refine(DRAFT))

    def refine_events(self) -> list[RefineEvent]:
        async def read(client: AsyncTheraloopClient) -> list[RefineEvent]:
            async with aclosing(client.refine_events(DRAFT)) as events:
                return [event async for event in events]

        return self._run(read)

    def ready(self, service: Service) -> Readiness:
        return self._run(lambda client: client.ready(service))


@pytest.fixture(params=[_Blocking, _Async], ids=["blocking", "async"])
def door(request: pytest.FixtureRequest) -> OpenDoor:
    opened: OpenDoor = request.param
    return opened
