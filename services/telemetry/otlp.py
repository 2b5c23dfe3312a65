"""The tracer on OpenTelemetry's SDK: W3C trace context, spans sent over OTLP/HTTP in batches from a thread of its own.

Endpoint, headers, sampler, batch sizes and resource attributes are the SDK's own, from the standard OTEL_* variables.
Exceptions are never recorded with their message or stack, which may quote text; nor are a caller's tracestate and
baggage passed on.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version

import anyio.to_thread
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.telemetry.tracing import TRACEPARENT, Attribute, Kind, Span, Value

_KINDS = {Kind.INTERNAL: SpanKind.INTERNAL, Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT}
_UNNAMED = "unknown_service"


def exporting_tracer(service: str) -> "OpenTelemetryTracer":
    """Return a tracer that exports as OTEL_* says; OTEL_SERVICE_NAME replaces `theraloop-<service>`."""
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith(_UNNAMED):
        named = {SERVICE_NAME: f"theraloop-{service}", SERVICE_VERSION: version("theraloop")}
        resource = resource.merge(Resource(named))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetryTracer(provider)


class _Recording:
    """Implements `Span`."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    @property
    def trace_id(self) -> str | None:
        return format_trace_id(self._span.get_span_context().trace_id)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def set(self, attributes: Mapping[Attribute, Value]) -> None:
        # By the enumeration, not by the key as given: only what is on the list has a way in.
        self._span.set_attributes({Attribute(name).value: value for name, value in attributes.items()})

    def fail(self, error: str) -> None:
        self.set({Attribute.ERROR: error})
        self._span.set_status(Status(StatusCode.ERROR))


class OpenTelemetryTracer:
    """Implements `Tracer`; owns `provider`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("theraloop")
        self._wire = TraceContextTextMapPropagator()

    def span(
        self, name: str, attributes: Mapping[Attribute, Value] | None = None, *, kind: Kind = Kind.INTERNAL
    ) -> AbstractContextManager[Span]:
        """Open a span under the one that is open here; see the port."""
        return self._open(name, attributes or {}, kind, None)

    def serve(self, name: str, traceparent: str | None) -> AbstractContextManager[Span]:
        """Open the span of a request, under the caller's; see the port."""
        caller = self._wire.extract({TRACEPARENT: traceparent} if traceparent else {}, context=Context())
        return self._open(name, {}, Kind.SERVER, caller)

    def headers(self) -> Mapping[str, str]:
        """Return `traceparent` of the open span; see the port."""
        carrier: dict[str, str] = {}
        self._wire.inject(carrier)
        return {name: value for name, value in carrier.items() if name == TRACEPARENT}

    async def close(self) -> None:
        """Send what is not sent yet, in a worker thread; the exporter's timeout bounds it."""
        await anyio.to_thread.run_sync(self._provider.shutdown)

    @contextmanager
    def _open(
        self, name: str, attributes: Mapping[Attribute, Value], kind: Kind, parent: Context | None
    ) -> Iterator[Span]:
        opened = self._tracer.start_as_current_span(
            name, parent, kind=_KINDS[kind], record_exception=False, set_status_on_exception=False
        )
        with opened as recorded:
            span = _Recording(recorded)
            span.set(attributes)
            try:
                yield span
            except BaseException as error:
                span.fail(type(error).__name__)
                raise
