"""The command line as a process, against the services' real HTTP edge: keys, problems, streams. Answers are canned."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pytest
import uvicorn
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from prometheus_client import CollectorRegistry

from services.contracts.evaluate import BatchLine, BatchRequest, EvaluateRequest, Evaluation
from services.contracts.refine import RefineRequest
from services.errors import EngineUnavailable
from services.telemetry.metrics import PlatformMetrics
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator, Principal, require
from services.web.keys import Scope, new_key
from services.web.rate_limit import RateLimiter
from tests.support.canned_answers import evaluation, ndjson, refine_events, refinement, sse

pytestmark = pytest.mark.integration
_KEY = new_key("cli", (Scope.EVALUATE,))
_ALL = new_key("all", (Scope.EVALUATE, Scope.REFINE))


def _router() -> APIRouter:
    router = APIRouter()

    @router.post("/evaluate")
    async def evaluate(body: EvaluateRequest, _: Annotated[Principal, Depends(require("evaluate"))]) -> Evaluation:
        if body.response == "break":
            raise EngineUnavailable("the model server does not answer; see its log")
        return evaluation()

    @router.post("/evaluate/batch")
    async def batch(body: BatchRequest) -> Response:
        lines = tuple(BatchLine(index=index, evaluation=evaluation()) for index in range(len(body.items)))
        return Response(ndjson(lines), media_type="application/x-ndjson")

    @router.post("/refine")
    async def refine(body: RefineRequest, _: Annotated[Principal, Depends(require("refine"))]) -> Response:
        return Response(sse(refine_events(refinement())), media_type="text/event-stream")

    return router


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A service with the real edge on a free port."""
    app = create_app(
        title="canned",
        version="1",
        description="Canned answers behind the real edge.",
        service="test",
        routers=[_router()],
        auth=Authenticator([_KEY.record, _ALL.record]),
        rate_limiter=RateLimiter("10000/minute", service="test"),
        limits=WebLimits(RouteLimits(deadline_s=20, max_body_bytes=10_000), max_in_flight=8),
        metrics=PlatformMetrics(CollectorRegistry()),
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # Connections made before the server accepts wait in the socket's queue.
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@dataclass(frozen=True)
class _Ended:
    code: int
    out: str
    err: str


def _run(url: str, *arguments: str, key: str = _ALL.secret, stdin: str = "") -> _Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "THERALOOP_JUDGE_URL": url,
            "THERALOOP_AGENT_URL": url,
            "THERALOOP_API_KEY": key,
        },
    )
    assert "Traceback" not in ended.stderr
    return _Ended(ended.returncode, ended.stdout, ended.stderr)


def test_a_reply_is_judged_with_no_escape_sequence_in_a_pipe(url: str) -> None:
    ended = _run(url, "evaluate", "b", "-c", "a")
    assert (ended.code, ended.err) == (0, "")
    assert "understanding" in ended.out
    assert "\x1b" not in ended.out


def test_a_draft_is_refined_over_a_real_stream(url: str) -> None:
    ended = _run(url, "refine", "-c", "My dog died", "--trace", stdin="Get another")
    assert (ended.code, ended.err) == (0, "")
    assert "+2.50" in ended.out


def test_a_batch_comes_as_ndjson(url: str) -> None:
    ended = _run(url, "evaluate", "--batch", "-", stdin='{"context": "a", "response": "b"}\n' * 3)
    assert [BatchLine.model_validate_json(line).index for line in ended.out.splitlines()] == [0, 1, 2]


def test_status_of_a_ready_stack(url: str) -> None:
    assert _run(url, "status").code == 0


@pytest.mark.parametrize(
    ("arguments", "key", "code", "mend"),
    [
        pytest.param(["evaluate", "b", "-c", "a"], "tl_unknown", 4, "THERALOOP_API_KEY", id="unknown key"),
        pytest.param(["refine", "b", "-c", "a"], _KEY.secret, 4, "scope", id="no scope"),
        pytest.param(["evaluate", "b" * 20_000, "-c", "a"], _KEY.secret, 4, "large", id="too large"),
        pytest.param(["evaluate", "break", "-c", "a"], _KEY.secret, 5, "see its log", id="engine down"),
        pytest.param(["evaluate", " ", "-c", "a"], _KEY.secret, 2, "response", id="blank"),
        pytest.param(
            ["evaluate", "b", "-c", "a", "--judge-url", "http://127.0.0.1:9"], "", 3, "theraloop up", id="nothing there"
        ),
    ],
)
def test_a_failure_is_one_line_and_its_code(url: str, arguments: list[str], key: str, code: int, mend: str) -> None:
    ended = _run(url, *arguments, key=key)
    assert (ended.code, ended.out) == (code, "")
    assert mend in ended.err
    assert ended.err.count("\n") == 1
