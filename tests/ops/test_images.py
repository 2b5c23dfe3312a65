"""The images' recipes: non-root, no build tools, nothing that a service does not need, and hadolint's rules."""

import re
import subprocess

import pytest

from tests.ops.metric_names import ROOT
from tests.support.tools import tool

pytestmark = pytest.mark.ops

RECIPES = {
    "judge": "judge_service/Dockerfile",
    "agent": "agent_service/Dockerfile",
    "trainer": "trainer/Dockerfile",
    "engine-cpu": "services/engine/Dockerfile",
}
SERVERS = ("judge", "agent", "engine-cpu")


def recipe(name: str) -> str:
    return (ROOT / RECIPES[name]).read_text(encoding="utf-8")


def last_stage(name: str) -> str:
    return recipe(name).rpartition("\nFROM ")[2]


@pytest.mark.parametrize("name", RECIPES)
def test_the_last_stage_runs_as_nobody_and_installs_nothing(name: str) -> None:
    stage = last_stage(name)
    assert "\nUSER 10001:10001\n" in stage
    assert not re.search(r"pip install|apt-get|curl|wget", stage)
    assert "COPY --from=build /opt/theraloop" in stage


@pytest.mark.parametrize("name", RECIPES)
def test_an_image_says_what_it_is_and_takes_its_base_from_outside(name: str) -> None:
    assert "ARG BASE_IMAGE=python:3.11." in recipe(name)
    for label in ("title", "description", "version", "revision", "licenses"):
        assert f"org.opencontainers.image.{label}=" in last_stage(name)


@pytest.mark.parametrize("name", RECIPES)
def test_a_stop_signal_reaches_the_program(name: str) -> None:
    stage = last_stage(name)
    assert "STOPSIGNAL SIGTERM" in stage
    assert 'ENTRYPOINT ["with-secrets"]' in stage
    assert re.search(r'^CMD \["python", "-m"', stage, re.MULTILINE)
    script = (ROOT / "ops/containers/with-secrets.sh").read_text(encoding="utf-8")
    assert script.rstrip().endswith('exec "$@"')


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_has_a_health_check(name: str) -> None:
    assert "HEALTHCHECK" in last_stage(name)


@pytest.mark.parametrize("name", RECIPES)
def test_packages_are_pinned_by_hash(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9._-]+(?:\[[a-z,]+\])?==", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
    assert text.count("--hash=sha256:") >= len(pins)
    assert f"--require-hashes -r requirements/{name}.txt" in recipe(name)


@pytest.mark.parametrize("name", ["judge", "agent"])
def test_a_service_carries_no_model_library(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"^(torch|vllm|transformers|peft|trl|triton|nvidia)", text, re.MULTILINE)
    assert "torch" not in recipe(name)


@pytest.mark.parametrize("name", RECIPES)
def test_hadolint_finds_nothing(name: str) -> None:
    hadolint = [tool("hadolint", "make setup"), RECIPES[name]]
    result = subprocess.run(hadolint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert not result.stdout
