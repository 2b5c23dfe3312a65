"""The reinforcement run on a tiny judge: TRL's trainer runs, the reward rises, a stopped run continues."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.trainer.training.runs import Files, rating, write_files
from trainer.errors import CheckpointError
from trainer.training.config import GrpoConfig
from trainer.training.sft import train_sft

# TRL and transformers warn of their own settings; what they warn of is set on purpose.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
]


def train_grpo(config: GrpoConfig, out: Path) -> Path:
    """Run it; TRL is imported here, where its warnings on import are allowed."""
    from trainer.training import grpo

    return grpo.train_grpo(config, out)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    ratings = [rating(q, r, (1.4, 4.6)[r % 2]) for q in range(6) for r in range(4)]
    return write_files(tmp_path_factory.mktemp("inputs"), ratings)


@pytest.fixture(scope="module")
def adapter(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = files.source(passes=0.5)
    return train_sft(files.sft(sources=(source,)), tmp_path_factory.mktemp("sft"))


@pytest.fixture(scope="module")
def whole_run(files: Files, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grpo")
    train_grpo(files.grpo(adapter, candidate_contexts=12, contexts=12), out)
    return out


def _weights(adapter: Path) -> dict[str, torch.Tensor]:
    return load_file(adapter / "adapter_model.safetensors")


def test_every_weight_of_the_supervised_adapter_moves_and_names_stay(adapter: Path, whole_run: Path) -> None:
    before, after = _weights(adapter), _weights(whole_run / "adapter")
    assert before.keys() == after.keys()
    assert all(not torch.equal(weight, after[name].to(weight.dtype)) for name, weight in before.items())


def test_progress_reports_reward_and_divergence(whole_run: Path) -> None:
    last = json.loads((whole_run / "progress.jsonl").read_text("utf-8").splitlines()[-1])
    assert {"reward", "kl", "left_s", "replies_per_s"} <= last.keys()


def test_a_stopped_run_continues_to_the_same_weights(
    files: Files, adapter: Path, whole_run: Path, tmp_path: Path
) -> None:
    config = files.grpo(adapter, candidate_contexts=12, contexts=12)
    out = tmp_path / "run"
    train_grpo(config, out)
    last = max((out / "trl").glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for folder in (out / "adapter", last):
        shutil.rmtree(folder)
    train_grpo(config, out)
    for name, weight in _weights(out / "adapter").items():
        torch.testing.assert_close(weight, _weights(whole_run / "adapter")[name], rtol=1e-4, atol=1e-5)


def test_a_folder_of_another_run_is_refused(files: Files, adapter: Path, whole_run: Path) -> None:
    with pytest.raises(CheckpointError, match="other settings or data"):
        train_grpo(files.grpo(adapter), whole_run)
