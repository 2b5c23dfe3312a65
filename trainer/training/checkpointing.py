"""A run's state on disk: written whole or not at all, so that a killed run continues with the same result.

Batches, learning rates and random choices are functions of the step: weights, moments and the step are all there is to
keep. Only safetensors and JSON are written and read.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainer.errors import CheckpointError, OutOfRoomError

_TENSORS = "state.safetensors"
_PROGRESS = "progress.json"


class Progress(BaseModel):
    """How far a run is, and whose run it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    elapsed_s: float
    fingerprint: str
    """Digest of the resolved configuration and of the data: what must be equal for a run to go on."""


def save_state(folder: Path, progress: Progress, tensors: dict[str, torch.Tensor]) -> None:
    """Write a checkpoint to `folder`, replacing the one there only once the new one is complete."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    with disk_full_explained(folder):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, fresh / _TENSORS)
        (fresh / _PROGRESS).write_text(progress.model_dump_json(indent=2) + "\n", encoding="utf-8")
        _flush(fresh)
    _replace(folder, fresh, old)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the adapter under training to `folder`, which appears, or is replaced, only once it is whole."""
    partial, old = folder.with_name(folder.name + ".partial"), folder.with_name(folder.name + ".old")
    with disk_full_explained(folder):
        shutil.rmtree(partial, ignore_errors=True)
        model.save_pretrained(partial, selected_adapters=["default"], save_embedding_layers=False)
        _flush(partial)
    _replace(folder, partial, old)


def load_state(folder: Path, fingerprint: str) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """Return the checkpoint in `folder`, or None if there is none; CheckpointError if it is another run's or broken."""
    old = folder.with_name(folder.name + ".old")
    place = folder if folder.exists() else old  # a kill between the two renames leaves the old one
    if not place.exists():
        return None
    try:
        progress = Progress.model_validate_json((place / _PROGRESS).read_bytes())
        tensors = load_file(place / _TENSORS)
    except (OSError, ValidationError, SafetensorError) as error:
        raise CheckpointError(f"{place}: broken; delete it to start the run anew") from error
    if progress.fingerprint != fingerprint:
        raise CheckpointError(f"{place}: of a run with other settings or data; choose another --out, or delete it")
    return progress, tensors


@contextmanager
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turn a full disk into an error that says what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in str(error):
            raise OutOfRoomError(
                f"the disk is full at {path}: free some space, or move the run's folder to a larger disk and give that "
                "as --out; the run continues from its last checkpoint"
            ) from error
        raise


@contextmanager
def memory_explained(setting: str) -> Iterator[None]:
    """Turn running out of memory into an error that names the setting to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfRoomError(
            f"out of memory: lower {setting} in the configuration; the run continues where it was"
        ) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise OutOfRoomError(
            f"out of memory: lower {setting} in the configuration; the run continues where it was"
        ) from error


def _replace(folder: Path, fresh: Path, old: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
