"""The outermost middleware: request id, span, access log, HTTP metrics, and the one place where an unforeseen error is
answered.

Pure ASGI, so that streamed answers pass through untouched. The access log holds method, route, status, size and time:
no query, no text.
"""

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.telemetry.metrics import PlatformMetrics
from services.telemetry.tracing import TRACEPARENT, UNTRACED, Attribute, Span, Tracer
from services.web.problems import log_unexpected, problem_response
from services.web.request_id import HEADER, accept_or_make, request_id_of

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by probes and scrapers; logged at debug level."""
UNROUTED: Final = "unrouted"
"""The route label of what was refused before routing, and of paths that do not exist."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Answer:
    """What has been sent so far."""

    status: int = 0
    sent_bytes: int = 0
    complete: bool = False


class EdgeMiddleware:
    """Wraps the whole application; see the module."""

    def __init__(self, app: ASGIApp, *, service: str, metrics: PlatformMetrics, tracer: Tracer = UNTRACED) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = accept_or_make(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        tracer = UNTRACED if scope["path"] in QUIET_PATHS else self._tracer
        with tracer.serve(_method(scope), headers.get(TRACEPARENT)) as span:
            if span.trace_id is not None:
                structlog.contextvars.bind_contextvars(trace_id=span.trace_id)
            await self._serve(scope, receive, send, span)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
        request_id = request_id_of(scope)
        answer = _Answer()
        began_s = time.perf_counter()
        try:
            await self._app(scope, receive, _observed(send, answer, request_id))
        except Exception as error:  # the last resort: nothing above could answer the client
            log_unexpected(error)
            if answer.status == 0:
                await problem_response(error, request_id)(scope, receive, _observed(send, answer, request_id))
        finally:
            self._account(scope, answer, time.perf_counter() - began_s, span)

    def _account(self, scope: Scope, answer: _Answer, seconds: float, span: Span) -> None:
        route = getattr(scope.get("route"), "path", UNROUTED)
        method = _method(scope)
        # Nothing was answered: the request was cancelled, as at the end of a drain. nginx calls it 499.
        status = answer.status or 499
        self._metrics.http_requests.labels(self._service, route, method, str(status)).inc()
        self._metrics.http_seconds.labels(self._service, route, method).observe(seconds)
        span.rename(f"{method} {route}")
        span.set(
            {
                Attribute.METHOD: method,
                Attribute.ROUTE: route,
                Attribute.STATUS: status,
                Attribute.REQUEST_ID: request_id_of(scope),
            }
        )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or not answer.complete:
            span.fail(str(status) if answer.complete else "incomplete")
        tell = _log.debug if scope["path"] in QUIET_PATHS else _log.info
        principal = scope["state"].get("principal")
        tell(
            "http_request",
            method=method,
            route=route,
            status=status,
            complete=answer.complete,
            sent_bytes=answer.sent_bytes,
            duration_ms=round(seconds * 1000, 1),
            key=principal.name if principal else None,
        )


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "OTHER"


def _observed(send: Send, answer: _Answer, request_id: str) -> Send:
    """Return a `send` that adds the request id to the answer and notes what went out."""

    async def observed(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[HEADER] = request_id
            headers.setdefault("X-Content-Type-Options", "nosniff")
        elif message["type"] == "http.response.body":
            answer.sent_bytes += len(message.get("body", b""))
            answer.complete = not message.get("more_body", False)
        await send(message)

    return observed
