"""A tracer whose spans stay in memory, and what a test asks of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.telemetry.otlp import OpenTelemetryTracer


@dataclass
class RecordedSpans:
    """The service's own tracer on an exporter that keeps what it is given."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def tracer(self) -> OpenTelemetryTracer:
        """Return a tracer of one more service, all of which are recorded here."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        return OpenTelemetryTracer(provider)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All that have ended."""
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def path(self, span: ReadableSpan) -> list[str]:
        """Return the names from the outermost recorded span down to `span`."""
        by_id = {other.context.span_id: other for other in self.spans if other.context}
        names = [span.name]
        while span.parent is not None and span.parent.span_id in by_id:
            span = by_id[span.parent.span_id]
            names.append(span.name)
        return names[::-1]

    def everything(self) -> str:
        """Return all that would be sent, as text."""
        return "\n".join(span.to_json() for span in self.spans)
