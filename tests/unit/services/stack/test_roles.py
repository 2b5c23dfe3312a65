"""Which role adapters a stack serves, how engine and agent learn of them, and what is said when there are none."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent_service.settings import AgentSettings
from services.engine.provision import ProvisionedModel
from services.roles.adapters import RoleAdapters
from services.roles.prompts import PromptStyle
from services.stack.config import StackConfig
from services.stack.events import Notice, StackEvent
from services.stack.plan import RunSecrets, plan_parts
from services.stack.roles import choose_role_adapters
from tests.support.role_adapters import FINGERPRINT, write_role_adapters

MODEL = ProvisionedModel(Path("/models/m"), "m", FINGERPRINT, "folder")


def _choose(registry: Path | None) -> tuple[RoleAdapters | None, list[str]]:
    events: list[StackEvent] = []
    found = choose_role_adapters(registry, MODEL, events.append)
    return found, [event.text for event in events if isinstance(event, Notice)]


def test_the_newest_set_that_fits_is_served_and_what_does_not_fit_is_said(tmp_path: Path) -> None:
    write_role_adapters(tmp_path, "roles-1")
    write_role_adapters(tmp_path, "roles-2", {"base_fingerprint": "e" * 64})
    found, said = _choose(tmp_path)
    assert found is not None
    assert found.version == "roles-1"
    assert "another base model" in said[0]
    assert "played by roles-1" in said[1]


@pytest.mark.parametrize("exists", [True, False])
def test_without_adapters_the_base_model_plays_and_that_is_said(exists: bool, tmp_path: Path) -> None:
    found, said = _choose(tmp_path if exists else None)
    assert found is None
    assert "base model plays the roles" in said[-1]


def test_engine_serves_and_agent_asks_for_the_same_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_role_adapters(tmp_path)
    roles, _ = _choose(tmp_path)
    assert roles is not None
    config = StackConfig(state_dir=tmp_path / "state")
    parts = {part.name: part for part in plan_parts(config, MODEL, None, RunSecrets(), roles)}
    command = parts["engine"].command
    served = command[command.index("--lora-modules") + 1 :][:3]
    assert served == tuple(f"{adapter.name}={adapter.path}" for adapter in roles.adapters)
    for variable, value in parts["agent"].environment.items():
        monkeypatch.setenv(variable, value)
    settings = AgentSettings().roles
    assert [settings.critic_model, settings.coach_model, settings.therapist_model] == [
        adapter.name for adapter in roles.adapters
    ]
    assert {settings.critic_style, settings.coach_style, settings.therapist_style} == {PromptStyle.ADAPTER}


def test_without_adapters_the_agent_keeps_its_defaults(tmp_path: Path) -> None:
    config = replace(StackConfig(state_dir=tmp_path / "state"), roles=None)
    parts = {part.name: part for part in plan_parts(config, MODEL, None, RunSecrets())}
    assert "--lora-modules" not in parts["engine"].command
    assert not [name for name in parts["agent"].environment if "ROLES_CRITIC" in name]
