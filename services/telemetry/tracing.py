"""Traces: what a span may say, and who makes spans. Off by default; then nothing is recorded, sent or imported.

The code of a service opens spans on a `Tracer` that it is given. What a span may say is the list `Attribute`: names,
numbers and words of ours, never a person's text. OpenTelemetry itself is behind `services.telemetry.otlp`.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, StrEnum
from typing import Final, Literal, Protocol

TRACEPARENT: Final = "traceparent"
"""W3C Trace Context's header. Its companions `tracestate` and `baggage` carry what others wrote, and are not taken."""
Mode = Literal["off", "otlp"]
Value = bool | int | float | str


class Attribute(StrEnum):
    """All that a span may say beside its name and times."""

    METHOD = "http.request.method"
    ROUTE = "http.route"
    STATUS = "http.response.status_code"
    ERROR = "error.type"
    REQUEST_ID = "theraloop.request_id"
    CHECKPOINT = "theraloop.checkpoint"
    CACHE_NAMESPACE = "theraloop.cache.namespace"
    CACHE_HIT = "theraloop.cache.hit"
    ENGINE_KIND = "theraloop.engine.kind"
    ENGINE_QUEUE_S = "theraloop.engine.queue_s"
    MODEL = "gen_ai.request.model"
    PROMPT_TOKENS = "gen_ai.usage.input_tokens"
    COMPLETION_TOKENS = "gen_ai.usage.output_tokens"
    OUTCOME = "theraloop.refine.outcome"
    ROUND = "theraloop.refine.round"
    CANDIDATES = "theraloop.refine.candidates"
    ACCEPTED = "theraloop.refine.accepted"


class Kind(Enum):
    """Which side of a call a span is."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span(Protocol):
    """Something that takes time."""

    @property
    def trace_id(self) -> str | None:
        """The trace's id in hex, for logs; None when nothing is traced."""

    def rename(self, name: str) -> None:
        """Name it, once more is known than at its beginning."""

    def set(self, attributes: Mapping[Attribute, Value]) -> None:
        """Say something of it."""

    def fail(self, error: str) -> None:
        """Mark it as failed; `error` is a type's name or a status, never a message."""


class Tracer(Protocol):
    """Makes spans. The one that is open when another begins, in the same task or in one begun there, is its parent."""

    def span(
        self, name: str, attributes: Mapping[Attribute, Value] | None = None, *, kind: Kind = Kind.INTERNAL
    ) -> AbstractContextManager[Span]:
        """Open a span over a block; an exception that leaves the block marks it as failed."""

    def serve(self, name: str, traceparent: str | None) -> AbstractContextManager[Span]:
        """Open the span of a request, within the caller's trace when it sent a sound `traceparent`."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers by which a callee's spans join the open one; none when there is nothing to join."""

    async def close(self) -> None:
        """Send what is not sent yet."""


class _Nothing:
    trace_id: str | None = None

    def rename(self, name: str) -> None:
        pass

    def set(self, attributes: Mapping[Attribute, Value]) -> None:
        pass

    def fail(self, error: str) -> None:
        pass


class Untraced:
    """Implements `Tracer` by doing nothing."""

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[Attribute, Value] | None = None, *, kind: Kind = Kind.INTERNAL
    ) -> Iterator[Span]:
        """Do nothing over the block."""
        yield _Nothing()

    def serve(self, name: str, traceparent: str | None) -> AbstractContextManager[Span]:
        """Do nothing over the block."""
        return self.span(name)

    def headers(self) -> Mapping[str, str]:
        """Return none."""
        return {}

    async def close(self) -> None:
        """There is nothing to send."""


UNTRACED: Final = Untraced()


def tracer_of(mode: Mode, service: str) -> Tracer:
    """Return the tracer of a service (`judge`, `agent`); `otlp` is configured by OpenTelemetry's OTEL_* variables."""
    if mode == "off":
        return UNTRACED
    # Imported here, so that nothing of OpenTelemetry is loaded, or need be installed, where tracing is off.
    from services.telemetry.otlp import exporting_tracer  # noqa: PLC0415

    return exporting_tracer(service)
