"""A tiny OTLP/HTTP receiver: what an exporter posts to it is kept, decoded and raw."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class ReceivedSpan:
    """One span and the service that sent it."""

    service: str
    span: Span

    @property
    def attributes(self) -> dict[str, object]:
        """Its attributes as plain values."""
        return {
            item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value")
            for item in self.span.attributes
        }


@dataclass
class Receiver:
    """What has arrived at `url`."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[ReceivedSpan]:
        """All spans so far."""
        found = []
        for body in self.bodies:
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                named = {item.key: item.value.string_value for item in resource.resource.attributes}
                spans = [span for scope in resource.scope_spans for span in scope.spans]
                found += [ReceivedSpan(named.get("service.name", ""), span) for span in spans]
        return found


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive on a free loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                receiver.bodies.append(body)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
