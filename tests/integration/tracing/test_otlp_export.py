"""A real judge process, told by the standard variables where to send its traces, and a receiver that decodes them."""

import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from services.stack.part import HttpProbe, Part
from tests.support.otlp_receiver import Receiver, receiving
from tests.support.real_parts import free_ports, running
from tests.support.tiny_tokenizer import write_tiny_tokenizer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TRACE_ID, PARTNER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TEXT = "quillfeather"


def _judge(folder: Path, environment: dict[str, str]) -> tuple[Part, str]:
    """Return a judge whose engine is not there: what it answers is a traced 503."""
    port, nobody = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    settings = {
        "THERALOOP_JUDGE_BIND_PORT": str(port),
        "THERALOOP_JUDGE_AUTH_MODE": "off",
        "THERALOOP_JUDGE_ENGINE_URL": f"http://127.0.0.1:{nobody}",
        "THERALOOP_JUDGE_MODEL_FOLDER": str(write_tiny_tokenizer(folder / "model")),
        "THERALOOP_JUDGE_MODEL_FINGERPRINT": "f" * 64,
    }
    part = Part(
        name="judge",
        command=(sys.executable, "-m", "judge_service"),
        probe=HttpProbe(f"{url}/healthz"),
        environment=settings | environment,
        start_timeout_s=120.0,
    )
    return part, url


def _asked_once(tmp_path: Path, receiver: Receiver, **environment: str) -> None:
    """Run a judge, ask it once within a partner's trace, and stop it, upon which it sends what is left."""
    part, url = _judge(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **environment})
    with running(part):
        answer = httpx.post(
            f"{url}/evaluate",
            json={"context": f"My dog {TEXT} died.", "response": f"Poor {TEXT}."},
            headers={"traceparent": f"00-{TRACE_ID}-{PARTNER_SPAN}-01", "tracestate": f"partner={TEXT}"},
            timeout=60,
        )
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE


def test_spans_arrive_over_otlp_as_the_standard_variables_say(tmp_path: Path) -> None:
    with receiving() as receiver:
        _asked_once(
            tmp_path,
            receiver,
            THERALOOP_JUDGE_TRACING="otlp",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )
    by_name = {received.span.name: received for received in receiver.spans}
    assert by_name.keys() == {"POST /evaluate", "evaluate"}
    assert {received.service for received in receiver.spans} == {"theraloop-judge"}
    request = by_name["POST /evaluate"]
    assert (request.span.trace_id.hex(), request.span.parent_span_id.hex()) == (TRACE_ID, PARTNER_SPAN)
    assert request.attributes["http.response.status_code"] == 503
    assert request.span.status.code == Status.STATUS_CODE_ERROR
    assert by_name["evaluate"].attributes == {"error.type": "EngineUnavailable"}
    assert all(b"deployment.environment.name" in body for body in receiver.bodies)
    assert TEXT.encode() not in b"".join(receiver.bodies).lower()


def test_nothing_is_sent_while_tracing_is_off(tmp_path: Path) -> None:
    with receiving() as receiver:
        _asked_once(tmp_path, receiver)
    assert not receiver.bodies
