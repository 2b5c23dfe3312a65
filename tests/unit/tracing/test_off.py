"""Tracing that is off costs nothing: not an import, not a header."""

import subprocess
import sys

import pytest

from services.settings import ServiceSettings
from services.telemetry.tracing import UNTRACED, tracer_of

TRACING_MODULES = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "services.telemetry.otlp")
"""Where OpenTelemetry is installed the Redis client loads its metrics by itself; the rest is ours to load."""


def test_services_load_nothing_that_traces() -> None:
    program = "import sys, agent_service.app, judge_service.app; print(*sys.modules, sep='\\n')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not [name for name in result.stdout.splitlines() if name.startswith(TRACING_MODULES)]


async def test_it_is_off_unless_asked_for() -> None:
    settings = ServiceSettings.model_validate({"auth": {"mode": "off"}})
    tracer = tracer_of(settings.tracing, "judge")
    assert tracer is UNTRACED
    with tracer.serve("GET", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") as span:
        assert span.trace_id is None
        assert not tracer.headers()
    await tracer.close()


def test_another_exporter_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="'off' or 'otlp'"):
        ServiceSettings.model_validate({"auth": {"mode": "off"}, "tracing": "jaeger"})
