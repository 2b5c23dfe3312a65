"""docker-compose.yml brought up for real: engine, judge, agent, Redis, Prometheus; used, watched and taken down.

On podman through Docker's API (`tests/support/containers.py`), with images built here. Grafana is left out: no image of
it can be made. Takes minutes and the machine; `THERALOOP_TEST_BASE_IMAGE` asks for it.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from services.engine.provision import EMBEDDED, default_cache_dir, provision
from tests.ops.metric_names import ROOT
from tests.ops.test_compose import EXAMPLE, make_secrets
from tests.ops.test_images import RECIPES
from tests.support.containers import Compose, compose_project, podman
from tests.support.images import build_image
from tests.support.real_parts import free_ports

pytestmark = [pytest.mark.ops, pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2400)]

STACK = Path(__file__).parent / "stack"
PROJECT = "theraloop-test"
SERVICES = ("engine-cpu", "redis", "judge", "agent", "prometheus", "alertmanager")
JUDGE_IMAGE = "docker.io/theraloop/judge:0.1.0"
REPLY = {
    "context": "My dog died last night and the flat is so quiet.",
    "response": "I am so sorry. Losing him must leave a hole in every hour of the day.",
}


@dataclass(frozen=True)
class Stack:
    """The project while it is up."""

    compose: Compose
    key: str
    ports: dict[str, int]

    def post(self, service: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask a service through its published port, with the partner's key."""
        url, headers = f"http://127.0.0.1:{self.ports[service]}{path}", {"Authorization": f"Bearer {self.key}"}
        answer = httpx.post(url, json=body, headers=headers, timeout=180)
        assert answer.status_code == httpx.codes.OK, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Execute PromQL in the stack's Prometheus."""
        url = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/query"
        result: list[dict[str, Any]] = httpx.get(url, params={"query": expression}, timeout=30).json()["data"]["result"]
        return result

    def inspect(self, service: str, field: str) -> str:
        """Return a field of a service's container."""
        return podman("inspect", "--format", field, f"{PROJECT}-{service}-1").stdout.strip()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up and healthy."""
    for name in ("judge", "agent", "engine-cpu"):
        build_image(RECIPES[name], f"docker.io/theraloop/{name}:0.1.0")
    for name in ("redis", "prometheus"):
        build_image(f"tests/ops/stack/{name}.Dockerfile", f"localhost/theraloop-test/{name}:0.1.0")
    folder = tmp_path_factory.mktemp("stack")
    ports = dict(zip(("judge", "agent", "prometheus", "alertmanager"), free_ports(4), strict=True))
    environment = _environment(folder, ports)
    key = re.findall(r"tl_[\w-]{43}", make_secrets(folder / "secrets"))[0]
    with compose_project(PROJECT, [ROOT / "docker-compose.yml", STACK / "compose.yml"], environment, folder) as compose:
        compose.run("up", "--detach", "--wait", "--wait-timeout", "900", "--no-build", *SERVICES)
        yield Stack(compose, key, ports)


def _environment(folder: Path, ports: dict[str, int]) -> dict[str, str]:
    """Lay out what the containers mount, readable by their users, and return the project's variables."""
    model = provision(EMBEDDED, default_cache_dir(), lambda _: None)
    inside = folder / "models" / Path(EXAMPLE["MODEL_FOLDER"]).relative_to("/var/cache/theraloop")
    shutil.copytree(model.path, inside)
    shutil.copytree(ROOT / "trainer/released", folder / "checkpoints")
    watched = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    watched["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(watched), encoding="utf-8")
    quiet = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(quiet), encoding="utf-8")
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)  # noqa: S607 - fixed, own folder
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    return {
        "COMPOSE_PROFILES": "cpu",
        "MODEL_FINGERPRINT": model.fingerprint,
        "CHECKPOINTS": str(folder / "checkpoints"),
        "REDIS_IMAGE": "localhost/theraloop-test/redis:0.1.0",
        "PROMETHEUS_IMAGE": "localhost/theraloop-test/prometheus:0.1.0",
        "TEST_FOLDER": str(folder),
        **{f"{name.upper()}_PORT": str(port) for name, port in ports.items()},
    }


def test_parts_start_in_the_order_of_health(stack: Stack) -> None:
    started = [stack.inspect(name, "{{.State.StartedAt}}") for name in ("redis", "judge", "agent")]
    assert started == sorted(started)
    assert stack.inspect("engine-cpu", "{{.State.StartedAt}}") < started[1]
    assert {stack.inspect(name, "{{.State.Health.Status}}") for name in SERVICES[:-1]} == {"healthy"}


def test_a_reply_is_judged_and_a_draft_refined_through_the_published_ports(stack: Stack) -> None:
    verdict = stack.post("judge", "/evaluate", REPLY)
    assert 1 <= verdict["overall"] <= 5
    draft = REPLY | {"response": "Pets die. Move on.", "deadline_ms": 120_000, "max_rounds": 1, "candidates": 2}
    refined = stack.post("agent", "/refine", draft)
    assert refined["outcome"] in {"passed", "refined", "unchanged", "fallback"}
    assert refined["response"]


def test_a_request_without_key_is_refused(stack: Stack) -> None:
    answer = httpx.post(f"http://127.0.0.1:{stack.ports['judge']}/evaluate", json=REPLY, timeout=30)
    assert answer.status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize(
    ("network", "target", "reached"),
    [
        pytest.param("edge", "engine:8000", False, id="published network to the engine"),
        pytest.param("edge", "redis:6379", False, id="published network to Redis"),
        pytest.param("engine", "engine:8000", True, id="engine's own network to the engine"),
        pytest.param("cache", "redis:6379", True, id="cache's own network to Redis"),
        pytest.param("engine", "redis:6379", False, id="engine's network to Redis"),
        pytest.param("monitoring", "engine:8000", False, id="monitoring to the engine"),
        pytest.param("engine", "1.1.1.1:443", False, id="engine's network to the outside"),
    ],
)
def test_who_reaches_whom(stack: Stack, network: str, target: str, reached: bool) -> None:
    host, _, port = target.partition(":")
    code = f"import socket; socket.create_connection(({host!r}, {port}), timeout=5)"
    result = podman("run", "--rm", "--network", f"{PROJECT}_{network}", JUDGE_IMAGE, "python", "-c", code)
    assert (result.returncode == 0) is reached, result.stderr[-500:]


@pytest.mark.parametrize("name", ["engine-cpu", "redis"])
def test_nothing_of_the_inner_parts_is_published(stack: Stack, name: str) -> None:
    assert podman("port", f"{PROJECT}-{name}-1").stdout == ""


def test_prometheus_scrapes_all(stack: Stack) -> None:
    expected = {"judge": "1", "agent": "1", "engine": "1", "prometheus": "1"}
    assert _until(lambda: {one["metric"]["job"]: one["value"][1] for one in stack.query("up")} == expected, 60)


def test_an_engine_that_hangs_raises_the_alert_and_its_return_ends_it(stack: Stack) -> None:
    alerts = f"http://127.0.0.1:{stack.ports['alertmanager']}/api/v2/alerts"

    def firing() -> bool:
        names = [alert["labels"]["alertname"] for alert in httpx.get(alerts, timeout=30).json()]
        return "TheraloopTargetDown" in names

    stack.compose.run("kill", "--signal", "SIGSTOP", "engine-cpu")
    try:
        assert _until(firing, 300)
    finally:
        stack.compose.run("kill", "--signal", "SIGCONT", "engine-cpu")
    assert _until(lambda: not stack.query('ALERTS{alertname="TheraloopTargetDown"}'), 120)


def test_services_end_well_when_told_and_nothing_is_left(stack: Stack) -> None:
    stack.compose.run("stop", "--timeout", "40", "agent", "judge")
    assert [stack.inspect(name, "{{.State.ExitCode}}") for name in ("agent", "judge")] == ["0", "0"]
    stack.compose.run("down", "--volumes", "--timeout", "45")
    own = f"label=com.docker.compose.project={PROJECT}"
    for kind in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
        assert podman(*kind, "--quiet", "--filter", own).stdout == ""


def _until(holds: Any, seconds: float) -> bool:
    """Ask another process again and again until it is so, or too late."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(1)
    return True
