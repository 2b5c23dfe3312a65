"""The parts of a stack, their order, and the settings that each gets."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent_service.settings import AgentSettings
from judge_service.settings import JudgeSettings
from services.engine.provision import ProvisionedModel
from services.settings import ServiceSettings
from services.stack.config import Ports, StackConfig
from services.stack.part import HttpProbe, Part
from services.stack.plan import RunSecrets, plan_parts

MODEL = ProvisionedModel(Path("/models/m"), "m", "f" * 64, "folder")


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    ports = Ports(engine=9100, judge=9101, agent=9102, redis=9103)
    return StackConfig(ports=ports, state_dir=tmp_path / "state", window_tokens=4096)


def plan(config: StackConfig, *, redis: bool, run_secrets: RunSecrets | None = None) -> dict[str, Part]:
    server = Path("/usr/bin/valkey-server") if redis else None
    return {part.name: part for part in plan_parts(config, MODEL, server, run_secrets or RunSecrets())}


def test_parts_start_after_what_they_need(config: StackConfig) -> None:
    assert list(plan(config, redis=True)) == ["engine", "redis", "judge", "agent"]


def test_without_a_redis_server_the_services_cache_by_themselves(config: StackConfig) -> None:
    parts = plan(config, redis=False)
    assert list(parts) == ["engine", "judge", "agent"]
    assert "REDIS_URL" not in parts["judge"].environment


def test_each_service_binds_to_loopback_without_keys_and_is_ready_by_its_own_word(config: StackConfig) -> None:
    parts = plan(config, redis=False)
    for name, port in (("judge", "9101"), ("agent", "9102")):
        environment = parts[name].environment
        prefix = f"THERALOOP_{name.upper()}"
        assert environment[f"{prefix}_BIND_HOST"] == "127.0.0.1"
        assert environment[f"{prefix}_BIND_PORT"] == port
        assert environment[f"{prefix}_AUTH_MODE"] == "off"
        assert parts[name].probe == HttpProbe(f"http://127.0.0.1:{port}/readyz")


def test_engine_and_judge_agree_on_model_and_window(config: StackConfig) -> None:
    parts = plan(config, redis=False)
    command, judge = parts["engine"].command, parts["judge"].environment
    assert command[command.index("--max-model-len") + 1] == judge["THERALOOP_JUDGE_MODEL_WINDOW_TOKENS"] == "4096"
    assert command[command.index("--served-model-name") + 1] == judge["THERALOOP_JUDGE_ENGINE_MODEL"] == "m"
    assert judge["THERALOOP_JUDGE_MODEL_FINGERPRINT"] == MODEL.fingerprint


def test_secrets_are_fresh_for_each_run_and_appear_in_no_command_line_or_representation(config: StackConfig) -> None:
    run_secrets = RunSecrets()
    parts = plan(config, redis=True, run_secrets=run_secrets)
    shown = repr(list(parts.values())) + repr(run_secrets)
    for secret in (run_secrets.redis_password, run_secrets.cache_key):
        assert secret not in shown
        assert secret not in (RunSecrets().redis_password, RunSecrets().cache_key)
    assert run_secrets.redis_password in parts["judge"].environment["REDIS_URL"]
    assert parts["agent"].environment["THERALOOP_CACHE_KEY"] == run_secrets.cache_key


def test_redis_reads_its_password_from_a_file_that_only_the_user_can_read(config: StackConfig) -> None:
    file = Path(plan(config, redis=True)["redis"].command[1])
    assert file.stat().st_mode & 0o077 == 0
    assert "requirepass" in file.read_text()


@pytest.mark.parametrize(("name", "settings"), [("judge", JudgeSettings), ("agent", AgentSettings)])
def test_each_service_accepts_its_environment(
    config: StackConfig, monkeypatch: pytest.MonkeyPatch, name: str, settings: type[ServiceSettings]
) -> None:
    part = plan(config, redis=True)[name]
    for variable, value in part.environment.items():
        monkeypatch.setenv(variable, value)
    loaded = settings()
    assert loaded.bind.port == {"judge": 9101, "agent": 9102}[name]
    assert loaded.cache.redis_url is not None


def test_judge_watches_the_registry_and_without_one_the_base_model_judges(config: StackConfig, tmp_path: Path) -> None:
    registry = replace(config, checkpoints=tmp_path)
    assert plan(registry, redis=False)["judge"].environment["THERALOOP_JUDGE_CHECKPOINTS_FOLDER"] == str(tmp_path)
    bare = plan(replace(config, checkpoints=None), redis=False)["judge"].environment
    assert "THERALOOP_JUDGE_CHECKPOINTS_FOLDER" not in bare
