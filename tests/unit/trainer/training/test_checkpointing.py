"""A run's state on disk: whole or not there, and errors that say what to do."""

import errno
from pathlib import Path

import pytest
import torch

from trainer.errors import CheckpointError, OutOfRoomError
from trainer.training.checkpointing import Progress, disk_full_explained, load_state, memory_explained, save_state

_PROGRESS = Progress(step=3, elapsed_s=1.5, fingerprint="f")


def test_what_was_saved_last_is_loaded(tmp_path: Path) -> None:
    for step in (1, 2):
        save_state(tmp_path / "c", _PROGRESS.model_copy(update={"step": step}), {"w": torch.full((2,), float(step))})
    loaded = load_state(tmp_path / "c", "f")
    assert loaded is not None
    assert loaded[0].step == 2
    assert loaded[1]["w"].tolist() == [2.0, 2.0]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_kill_between_old_and_new_leaves_the_old_one(tmp_path: Path) -> None:
    save_state(tmp_path / "c", _PROGRESS, {"w": torch.ones(1)})
    (tmp_path / "c").rename(tmp_path / "c.old")
    (tmp_path / "c.new").mkdir()
    loaded = load_state(tmp_path / "c", "f")
    assert loaded is not None
    assert loaded[0] == _PROGRESS
    save_state(tmp_path / "c", _PROGRESS, {"w": torch.ones(1)})
    assert load_state(tmp_path / "c", "f") is not None


@pytest.mark.parametrize("name", ["progress.json", "state.safetensors"])
def test_a_broken_checkpoint_is_refused(name: str, tmp_path: Path) -> None:
    save_state(tmp_path / "c", _PROGRESS, {"w": torch.ones(1)})
    (tmp_path / "c" / name).write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="delete it"):
        load_state(tmp_path / "c", "f")


def test_nothing_saved_is_no_error(tmp_path: Path) -> None:
    assert load_state(tmp_path / "c", "f") is None


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory"), id="GPU"),
        pytest.param(MemoryError(), id="Python"),
        pytest.param(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), id="CPU allocator"),
    ],
)
def test_running_out_of_memory_names_the_setting(error: Exception) -> None:
    with pytest.raises(OutOfRoomError, match="lower tokens_per_forward"), memory_explained("tokens_per_forward"):
        raise error


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OutOfRoomError, match="free some space"), disk_full_explained(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_explained("x"), disk_full_explained(tmp_path):
        raise RuntimeError("shapes do not match")
