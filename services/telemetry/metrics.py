"""The Prometheus instruments that every service shares, under one naming scheme.

Built once by a service's `app.py` on a registry of its own; a service adds its instruments to the same registry. Labels
are bounded: a route is its template, never a path; a method outside the known ones is `OTHER`.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# A cached answer takes milliseconds, a judgment on GPU tens to hundreds of them, a refinement on CPU a minute or two.
REQUEST_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
# A local Redis answers below a millisecond; its timeouts are at 100 ms.
CACHE_BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)


class PlatformMetrics:
    """The shared instruments, registered on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.http_requests = Counter(
            "theraloop_http_requests_total",
            "Requests answered.",
            ("service", "route", "method", "status"),
            registry=registry,
        )
        self.http_seconds = Histogram(
            "theraloop_http_request_seconds",
            "Time from the first byte of a request to the last byte of its answer.",
            ("service", "route", "method"),
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self.http_in_flight = Gauge(
            "theraloop_http_in_flight", "Admitted requests not yet answered.", ("service",), registry=registry
        )
        self.rate_limited = Counter(
            "theraloop_rate_limited_total",
            "Requests refused for a key's rate limit (reason=key) or for too many in flight (reason=in_flight).",
            ("service", "reason"),
            registry=registry,
        )
        self.cache_operations = Counter(
            "theraloop_cache_operations_total",
            "Cache operations by outcome: hit, miss, stored, acquired, not_acquired, error.",
            ("cache", "op", "outcome"),
            registry=registry,
        )
        self.cache_seconds = Histogram(
            "theraloop_cache_seconds",
            "Time of one cache operation.",
            ("cache", "op"),
            buckets=CACHE_BUCKETS_S,
            registry=registry,
        )
        self.engine_seconds = Histogram(
            "theraloop_engine_request_seconds",
            "Time of one request to the engine, retries included, without the wait for a slot.",
            ("kind",),
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self.engine_queue_seconds = Histogram(
            "theraloop_engine_queue_seconds",
            "Wait in this service for one of its slots at the engine.",
            ("kind",),
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self.engine_tokens = Counter(
            "theraloop_engine_tokens_total",
            "Tokens read (direction=prompt, of which cached) and written (completion).",
            ("kind", "direction"),
            registry=registry,
        )
        self.engine_errors = Counter(
            "theraloop_engine_errors_total", "Engine requests that failed.", ("kind", "error"), registry=registry
        )
        self.engine_retries = Counter(
            "theraloop_engine_retries_total", "Engine requests sent again.", ("kind",), registry=registry
        )


def process_registry() -> CollectorRegistry:
    """Return a new registry that also reports this process (CPU, memory, garbage collection)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
