"""docker-compose.yml: what it promises about isolation, limits, order and settings, and Compose's own validation."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_service.settings import AgentSettings
from judge_service.settings import JudgeSettings
from services.engine.server import EngineConfig, engine_command
from services.web.keys import KeyFile
from tests.ops.metric_names import ROOT
from tests.ops.released_roles import released_modules, released_names
from tests.support.tools import tool

pytestmark = pytest.mark.ops

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
ENGINES = ("engine-cpu", "engine-gpu")
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)
EMPTY_BY_DEFAULT = {"MODEL_FINGERPRINT"}


def filled(text: str) -> str:
    """Return a text with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_cannot_write_gain_rights_or_take_the_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert limits["memory"]
    assert limits["pids"]
    assert service["healthcheck"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_to_a_version(name: str) -> None:
    tag = filled(SERVICES[name]["image"]).rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+", tag), tag


@pytest.mark.parametrize("name", [*ENGINES, "redis"])
def test_redis_and_the_engine_cannot_be_reached_from_outside(name: str) -> None:
    assert "ports" not in SERVICES[name]
    assert all(STACK["networks"][network] == {"internal": True} for network in SERVICES[name]["networks"])


@pytest.mark.parametrize("name", [name for name in SERVICES if "ports" in SERVICES[name]])
def test_what_is_published_is_on_loopback_unless_said_otherwise(name: str) -> None:
    assert all(filled(port).startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_the_default_profile_needs_no_gpu_and_each_profile_has_one_engine() -> None:
    assert EXAMPLE["COMPOSE_PROFILES"] == "cpu"
    for profile, engine in (("cpu", "engine-cpu"), ("gpu", "engine-gpu")):
        running = {name for name, service in SERVICES.items() if profile in service.get("profiles", [profile])}
        assert running & set(ENGINES) == {engine}


def test_parts_start_when_what_they_need_is_healthy() -> None:
    judge, agent = SERVICES["judge"]["depends_on"], SERVICES["agent"]["depends_on"]
    assert {need["condition"] for need in (*judge.values(), *agent.values())} == {"service_healthy"}
    assert set(judge) == {*ENGINES, "redis"}
    assert set(agent) == {*ENGINES, "redis", "judge"}
    assert "/readyz" in str(SERVICES["judge"]["healthcheck"]) + str(SERVICES["agent"]["healthcheck"])


@pytest.mark.parametrize("name", ENGINES)
def test_the_engine_is_started_as_the_local_stack_starts_it(name: str) -> None:
    config = EngineConfig(
        model_path=Path(EXAMPLE["MODEL_FOLDER"]),
        served_name=EXAMPLE["MODEL_NAME"],
        host="0.0.0.0",  # noqa: S104 - inside its own network
        port=8000,
    )
    assert [filled(str(word)) for word in SERVICES[name]["command"]] == engine_command(config, python="python3")


def test_the_cpu_engine_serves_the_released_roles_and_the_agent_asks_for_them() -> None:
    engine, agent = SERVICES["engine-cpu"], SERVICES["agent"]["environment"]
    assert filled(engine["environment"]["ROLE_ADAPTERS"]).split() == released_modules()
    assert engine["entrypoint"][-2].endswith("--lora-modules $$ROLE_ADAPTERS")
    for role, name in released_names().items():
        assert filled(agent[f"THERALOOP_AGENT_ROLES_{role.upper()}_MODEL"]) == name
        assert filled(agent[f"THERALOOP_AGENT_ROLES_{role.upper()}_STYLE"]) == "adapter"


@pytest.mark.parametrize("name", ENGINES)
def test_the_engine_has_the_shared_memory_that_its_processes_speak_through(name: str) -> None:
    assert re.fullmatch(r"[1-9]\d*g", SERVICES[name]["shm_size"])


def test_every_variable_is_documented_with_the_default_that_is_used() -> None:
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    assert set(EXAMPLE) - {"COMPOSE_PROFILES"} == set(used)
    assert {name: EXAMPLE[name] for name in used} == used
    assert {name for name, value in used.items() if not value} == EMPTY_BY_DEFAULT


@pytest.mark.parametrize(
    ("name", "settings"), [("judge", JudgeSettings), ("agent", AgentSettings)], ids=["judge", "agent"]
)
def test_the_services_accept_the_environment_that_they_get(
    name: str, settings: type[JudgeSettings] | type[AgentSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_secrets(tmp_path)
    for variable in [name for name in os.environ if name.startswith(("THERALOOP_", "REDIS_"))]:
        monkeypatch.delenv(variable)
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, filled(str(value)) or "0" * 64)
    for secret in SERVICES[name]["secrets"]:
        if secret.isupper():
            monkeypatch.setenv(secret, (tmp_path / secret).read_text(encoding="utf-8"))
    monkeypatch.setenv(f"THERALOOP_{name.upper()}_BIND_HOST", "0.0.0.0")  # noqa: S104 - what the image sets
    loaded = settings()
    assert str(loaded.engine.url) == "http://engine:8000/"
    assert loaded.cache.redis_url is not None
    assert loaded.auth.mode == "keys"


def test_the_trainer_runs_the_committed_recipe_on_the_ratings_that_are_mounted() -> None:
    service = SERVICES["trainer"]
    shell, recipe, version = (filled(word) for word in service["command"][2:])
    assert shell.endswith('exec python -m trainer train --recipe "$$0" --version "$$1"')
    assert (ROOT / recipe).is_file()
    assert not (ROOT / "trainer/released" / version).exists()
    targets = [filled(volume).split(":")[1] for volume in service["volumes"]]
    assert str(Path(filled(service["environment"]["THERALOOP_RATINGS"])).parent) in targets
    workplace = re.search(r"^WORKDIR (/srv/.*)$", (ROOT / "trainer/Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert workplace
    assert {f"{workplace[1]}/runs", f"{workplace[1]}/trainer/released"} <= set(targets)


def test_no_secret_stands_in_the_environment() -> None:
    environment = [key for service in SERVICES.values() for key in service.get("environment", {})]
    assert not [key for key in environment if re.search(r"PASSWORD$|API_KEY$|CACHE_KEY$|REDIS_URL$|TOKEN$", key)]
    assert all(secret["file"].startswith("./secrets/") for secret in STACK["secrets"].values())


def test_the_secrets_that_are_made_are_those_that_are_mounted(tmp_path: Path) -> None:
    shown = make_secrets(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        Path(secret["file"]).name for secret in STACK["secrets"].values()
    }
    keys = KeyFile.model_validate_json((tmp_path / "api-keys.json").read_text(encoding="utf-8")).keys
    assert {key.name: [str(scope) for scope in key.scopes] for key in keys}["agent"] == ["evaluate"]
    assert len(re.findall(r"tl_[\w-]{43}", shown)) == 2
    assert "tl_" not in (tmp_path / "api-keys.json").read_text(encoding="utf-8")
    assert "already" in make_secrets(tmp_path)


def make_secrets(folder: Path) -> str:
    """Run the script that makes the secrets; return what it shows."""
    tool("openssl", "Debian: apt-get install openssl")
    script = ROOT / "ops/containers/make-secrets.sh"
    return subprocess.run(["sh", str(script), str(folder)], capture_output=True, text=True, check=True).stdout  # noqa: S607


def test_compose_accepts_the_file_with_every_profile() -> None:
    compose = tool("docker-compose", "make setup")
    command = [compose, "--env-file", ".env.example", "--profile", "*", "config", "--quiet"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
