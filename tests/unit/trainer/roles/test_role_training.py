"""Role training on a tiny model: it learns, it continues to the same weights, and it releases what it made."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from services.roles.adapters import verify_role_adapters
from services.roles.prompts import PromptStyle, Role, style_digest
from services.rubric.rubric import default_rubric
from tests.unit.trainer.roles.conftest import Inputs
from trainer.cli import app
from trainer.errors import DataError
from trainer.roles.data import build_examples, examples_file
from trainer.roles.train import train_role

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models of some thousand weights gain nothing from threads, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "adapter" / "adapter_model.safetensors")


def _losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "progress.jsonl").read_text("utf-8").splitlines()]


def test_loss_falls_and_a_stopped_run_continues_to_the_same_weights(inputs: Inputs, tmp_path: Path) -> None:
    folder = inputs.config.work / "data"
    build_examples(inputs.config, inputs.mentalchat, None, folder)
    examples = examples_file(folder, Role.THERAPIST)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_role(inputs.config, Role.THERAPIST, examples, whole)
    assert _losses(whole)[-1] < 0.8 * _losses(whole)[0]
    assert all(bool(weight.abs().max() > 0) for weight in _weights(whole).values())
    train_role(inputs.config, Role.THERAPIST, examples, parts, max_steps=2)
    assert not (parts / "adapter").exists()
    train_role(inputs.config, Role.THERAPIST, examples, parts)
    for name, weight in _weights(parts).items():
        assert torch.equal(weight, _weights(whole)[name]), name


def test_memory_settings_change_no_weight(inputs: Inputs, tmp_path: Path) -> None:
    folder = inputs.config.work / "data"
    build_examples(inputs.config, inputs.mentalchat, None, folder)
    small = inputs.config.model_copy(update={"tokens_per_forward": 64, "logits_per_chunk": 5})
    examples = examples_file(folder, Role.COACH)
    train_role(inputs.config, Role.COACH, examples, tmp_path / "whole", max_steps=3)
    train_role(small, Role.COACH, examples, tmp_path / "small", max_steps=3)
    state = Path("checkpoint") / "state.safetensors"
    one, other = (load_file(tmp_path / name / state) for name in ("whole", "small"))
    for name, weight in one.items():
        if name.startswith("weight/"):
            # Sums in another order, over three steps of Adam.
            torch.testing.assert_close(other[name], weight, rtol=2e-2, atol=2e-3)


def test_examples_that_do_not_fit_end_the_run_with_the_mend(inputs: Inputs, tmp_path: Path) -> None:
    folder = inputs.config.work / "data"
    build_examples(inputs.config, inputs.mentalchat, None, folder)
    runs = {role: run.model_copy(update={"completion_tokens": 16}) for role, run in inputs.config.roles.items()}
    config = inputs.config.model_copy(update={"roles": runs})
    with pytest.raises(DataError, match="completion_tokens"):
        train_role(config, Role.THERAPIST, examples_file(folder, Role.THERAPIST), tmp_path / "run")


def test_one_command_builds_trains_and_releases(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "roles.yaml"
    file.write_text(inputs.config.model_dump_json(), encoding="utf-8")
    arguments = ["roles", "--mentalchat", str(inputs.mentalchat), "--config", str(file)]
    trial = CliRunner().invoke(app, [*arguments, "--max-steps", "1"])
    assert "not all adapters are trained" in trial.output
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    released = inputs.config.registry / "roles-tiny-1"
    manifest = json.loads((released / "roles.json").read_bytes())
    found = verify_role_adapters(
        released,
        base_fingerprint=manifest["base_fingerprint"],
        prompts_sha256={PromptStyle.ADAPTER: style_digest(PromptStyle.ADAPTER, default_rubric())},
        max_rank=16,
    )
    assert {adapter.role for adapter in found.adapters} == set(Role)
    assert str(tmp_path) not in (released / "critic" / "adapter_config.json").read_text("utf-8")
