"""What is asked: every call of the API as data, and the HTTP request it becomes. Nothing here sends anything."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from services.client.config import ClientConfig
from services.client.errors import DeadlineExceeded
from services.contracts.checkpoints import ActivateRequest, RollbackRequest
from services.contracts.evaluate import BatchRequest, EvaluateRequest
from services.contracts.refine import RefineRequest
from services.deadline import DEADLINE_HEADER, Deadline

REQUEST_ID_HEADER: Final = "X-Request-ID"
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
EVENT_STREAM: Final = "text/event-stream"
_AGENT_GRACE_S: Final = 2.0
"""What the way there and back may take beyond the time that a refinement asks for."""


TraceContext = Callable[[], Mapping[str, str]]
"""Returns the headers by which the callee's spans join the caller's trace (`traceparent`), asked for each attempt."""


def no_trace_context() -> Mapping[str, str]:
    """Return no headers."""
    return {}


class Service(StrEnum):
    """Whom a call goes to."""

    JUDGE = "judge"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, the same for every attempt at it."""

    service: Service
    method: str
    path: str
    deadline: Deadline
    request_id: str
    accept: str = JSON
    body: str | None = None
    streamed: bool = False
    ok_statuses: frozenset[int] = frozenset({200})
    """Statuses whose body is the answer; any other is an error."""

    def request(self, config: ClientConfig, trace_context: Mapping[str, str]) -> httpx.Request:
        """Return the request of one attempt, carrying the time that is left now and the caller's trace context.

        Raises:
            DeadlineExceeded: none is left.
        """
        left_s = self.deadline.remaining_s()
        if left_s == 0:
            raise DeadlineExceeded("the deadline passed before the request could be sent; allow more time")
        headers = {
            **trace_context,
            "Accept": self.accept,
            DEADLINE_HEADER: self.deadline.header_value(),
            REQUEST_ID_HEADER: self.request_id,
        }
        if self.body is not None:
            headers["Content-Type"] = JSON
        if config.api_key is not None:
            headers["Authorization"] = f"Bearer {config.api_key.get_secret_value()}"
        timeout = httpx.Timeout(left_s, connect=min(left_s, config.connect_timeout_s))
        return httpx.Request(
            self.method,
            self.url(config),
            headers=headers,
            content=self.body,
            extensions={"timeout": timeout.as_dict()},
        )

    def url(self, config: ClientConfig) -> str:
        """Return the address that the call goes to."""
        base = config.judge_url if self.service is Service.JUDGE else config.agent_url
        return base.rstrip("/") + self.path


def evaluate_call(
    request: EvaluateRequest, config: ClientConfig, deadline: Deadline | None, request_id: str | None
) -> Call:
    """Return the call that judges one reply."""
    return Call(
        Service.JUDGE,
        "POST",
        "/evaluate",
        deadline or Deadline.after(config.timeout_s),
        request_id or _new_id(),
        body=request.model_dump_json(),
    )


def batch_call(
    items: Sequence[EvaluateRequest | Mapping[str, object]],
    config: ClientConfig,
    deadline: Deadline | None,
    request_id: str | None,
) -> Call:
    """Return the call that judges up to 256 replies."""
    return Call(
        Service.JUDGE,
        "POST",
        "/evaluate/batch",
        deadline or Deadline.after(config.batch_timeout_s),
        request_id or _new_id(),
        accept=NDJSON,
        body=BatchRequest(items=tuple(items)).model_dump_json(),
        streamed=True,
    )


def refine_call(
    request: RefineRequest, config: ClientConfig, deadline: Deadline | None, request_id: str | None, *, events: bool
) -> Call:
    """Return the call that refines one draft; with `events` its stages are streamed."""
    return Call(
        Service.AGENT,
        "POST",
        "/refine",
        deadline or Deadline.after(request.deadline_ms / 1000 + _AGENT_GRACE_S),
        request_id or _new_id(),
        accept=EVENT_STREAM if events else JSON,
        body=request.model_dump_json(),
        streamed=events,
    )


def rubric_call(config: ClientConfig, deadline: Deadline | None, request_id: str | None) -> Call:
    """Return the call that reads the rubric."""
    return Call(Service.JUDGE, "GET", "/rubric", deadline or Deadline.after(config.timeout_s), request_id or _new_id())


def ready_call(service: Service, config: ClientConfig, deadline: Deadline | None, request_id: str | None) -> Call:
    """Return the call that asks whether a service's parts answer; a 503 is an answer too."""
    return Call(
        service,
        "GET",
        "/readyz",
        deadline or Deadline.after(config.timeout_s),
        request_id or _new_id(),
        ok_statuses=frozenset({200, 503}),
    )


def checkpoints_call(config: ClientConfig, deadline: Deadline | None, request_id: str | None) -> Call:
    """Return the call that lists the judge's checkpoints."""
    return Call(
        Service.JUDGE, "GET", "/checkpoints", deadline or Deadline.after(config.timeout_s), request_id or _new_id()
    )


def activate_call(
    version: str, request: ActivateRequest, config: ClientConfig, deadline: Deadline | None, request_id: str | None
) -> Call:
    """Return the call that switches to a checkpoint."""
    return _change_call(f"/checkpoints/{quote(version, safe='')}/activate", request, config, deadline, request_id)


def retire_call(version: str, config: ClientConfig, deadline: Deadline | None, request_id: str | None) -> Call:
    """Return the call that takes a checkpoint out of what may be promoted."""
    return _change_call(f"/checkpoints/{quote(version, safe='')}/retire", None, config, deadline, request_id)


def rollback_call(
    request: RollbackRequest, config: ClientConfig, deadline: Deadline | None, request_id: str | None
) -> Call:
    """Return the call that goes back to the checkpoint that served before."""
    return _change_call("/checkpoints/rollback", request, config, deadline, request_id)


def _change_call(
    path: str, body: BaseModel | None, config: ClientConfig, deadline: Deadline | None, request_id: str | None
) -> Call:
    return Call(
        Service.JUDGE,
        "POST",
        path,
        deadline or Deadline.after(config.change_timeout_s),
        request_id or _new_id(),
        body=None if body is None else body.model_dump_json(),
    )


def _new_id() -> str:
    return uuid.uuid4().hex
