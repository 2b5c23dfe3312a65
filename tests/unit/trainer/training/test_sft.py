"""The supervised run: it learns, it continues after a kill with the same result, and it refuses what is not its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from services.contracts.dimensions import DIMENSIONS
from tests.unit.trainer.training.runs import Files, rating, write_files
from trainer.errors import CheckpointError, DataError, TrainingConfigError
from trainer.training.config import SftConfig, load_config
from trainer.training.losses import expected_scores
from trainer.training.model import judge_model, load_base, load_renderer, with_adapter
from trainer.training.sft import train_sft
from trainer.training.token_tree import TokenPath

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def whole_run(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    train_sft(files.sft(), out)
    return out


def _reports(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "progress.jsonl").read_text("utf-8").splitlines()]


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "adapter" / "adapter_model.safetensors")


def test_loss_falls_and_every_adapter_weight_moves(whole_run: Path) -> None:
    reports = _reports(whole_run)
    assert reports[-1]["loss"] < 0.7 * reports[0]["loss"]
    moved = {name: bool(weight.abs().max() > 0) for name, weight in _weights(whole_run).items()}
    assert moved
    assert all(moved.values())


def test_every_digit_is_read_from_the_text_and_not_from_the_digits_before(files: Files, tmp_path: Path) -> None:
    adapter = train_sft(files.sft(sources=(files.source(passes=12),)), tmp_path)
    config = files.model()
    renderer = load_renderer(config)
    judge = judge_model(
        with_adapter(load_base(config), adapter).eval(), renderer.tokenizer.level_ids, torch.device("cpu")
    )
    prompts = [renderer.render(rating(0, 0, 3).context or (), text) for text in ("good good", "bad bad")]
    misleading = torch.tensor([[1] * len(DIMENSIONS), [5] * len(DIMENSIONS)])
    with torch.no_grad():
        paths = [TokenPath(prompt.prefix_ids, prompt.suffix_ids) for prompt in prompts]
        good, bad = expected_scores(judge.teacher_forced(paths, misleading))
    assert (good - bad > 1).all()


def test_configuration_and_data_digests_are_saved_with_the_weights(files: Files, whole_run: Path) -> None:
    saved = json.loads((whole_run / "config.json").read_text("utf-8"))
    assert saved["optimizer"]["learning_rate"] == files.sft().optimizer.learning_rate
    assert sorted(len(digest) for digest in saved["data_sha256"].values()) == [64, 64]


def test_batches_split_for_memory_give_the_same_adapter(files: Files, whole_run: Path, tmp_path: Path) -> None:
    train_sft(files.sft(tokens_per_forward=700), tmp_path)
    for name, weight in _weights(tmp_path).items():
        # Sums in another order, over nine steps of Adam.
        torch.testing.assert_close(weight, _weights(whole_run)[name], rtol=2e-2, atol=2e-3)


def test_a_killed_run_continues_to_the_same_weights(files: Files, whole_run: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "run.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(files.sft().model_dump(mode="json")), encoding="utf-8")
    command = [sys.executable, "-m", "trainer", "sft", "--config", str(config), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if '"step": 3' in line:
            process.send_signal(signal.SIGKILL)
            break
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL
    assert not (out / "adapter").exists()
    train_sft(load_config(config, SftConfig), out)
    continued = [report["step"] for report in _reports(out)]
    assert continued[-1] == _reports(whole_run)[-1]["step"]
    for name, weight in _weights(out).items():
        assert torch.equal(weight, _weights(whole_run)[name]), name


def test_a_share_of_the_start_is_averaged_into_the_result(files: Files, whole_run: Path, tmp_path: Path) -> None:
    on = {"adapter": whole_run / "adapter", "sources": (files.source(passes=1),)}
    train_sft(files.sft(**on), tmp_path / "trained")
    train_sft(files.sft(**on, start_share=0.25), tmp_path / "averaged")
    start, trained = _weights(whole_run), _weights(tmp_path / "trained")
    for name, weight in _weights(tmp_path / "averaged").items():
        torch.testing.assert_close(weight, 0.25 * start[name] + 0.75 * trained[name])
        assert not torch.equal(weight, trained[name])


def test_a_folder_of_another_run_is_refused_and_keeps_its_configuration(files: Files, whole_run: Path) -> None:
    before = (whole_run / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match="other settings or data"):
        train_sft(files.sft(seed=8), whole_run)
    assert (whole_run / "config.json").read_bytes() == before


def test_a_rater_without_ratings_is_named(files: Files, tmp_path: Path) -> None:
    source = files.source().model_copy(update={"rater": "nobody"})
    with pytest.raises(DataError, match="nobody"):
        train_sft(files.sft(sources=(source,)), tmp_path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("seed: 1", "model", id="field missing"),
        pytest.param("seed: [", "while parsing", id="not YAML"),
        pytest.param("{seed: 1, learning: 2}", "learning", id="unknown field"),
        pytest.param(
            "{seed: 1, model: {base: b}, sources: [{ratings: r, split: s, rater: me}], start_share: 0.5}",
            "start_share needs",
            id="no start",
        ),
    ],
)
def test_a_wrong_configuration_names_the_field(text: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingConfigError, match=wanted):
        load_config(tmp_path / "run.yaml", SftConfig)
