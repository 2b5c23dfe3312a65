"""The fingerprint follows what determines a model's outputs, and nothing else."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.engine.errors import ModelFolderError
from services.engine.fingerprint import fingerprint_model

CONFIG = {"architectures": ["Tiny"], "hidden_size": 4, "transformers_version": "5.0.0", "_name_or_path": "somewhere"}


def write_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text('{"model": {}}')
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}", "bos_token": "<bos>"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def edit_config(folder: Path, **changes: object) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | changes, indent=4, sort_keys=True))


IRRELEVANT: dict[str, Callable[[Path], object]] = {
    "library version": lambda folder: edit_config(folder, transformers_version="6.0.0"),
    "origin": lambda folder: edit_config(folder, _name_or_path="elsewhere"),
    "layout of the JSON": edit_config,
    "an unrelated file": lambda folder: (folder / "README.md").write_text("hello"),
    "generation defaults": lambda folder: (folder / "generation_config.json").write_text('{"top_k": 3}'),
}
RELEVANT: dict[str, Callable[[Path], object]] = {
    "architecture": lambda folder: edit_config(folder, hidden_size=8),
    "tokenizer": lambda folder: (folder / "tokenizer.json").write_text('{"model": {"a": 1}}'),
    "weights": lambda folder: (folder / "model.safetensors").write_bytes(b"other weights"),
    "a second shard": lambda folder: (folder / "model-2.safetensors").write_bytes(b"more"),
    "chat template": lambda folder: (folder / "chat_template.jinja").write_text("{{ other }}"),
    "chat template in the tokenizer's configuration": lambda folder: (folder / "tokenizer_config.json").write_text(
        "{}"
    ),
}


@pytest.mark.parametrize("change", IRRELEVANT.values(), ids=IRRELEVANT.keys())
def test_what_does_not_change_outputs_does_not_change_the_fingerprint(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    folder = write_model(tmp_path / "model")
    before = fingerprint_model(folder, tmp_path / "cache")
    change(folder)
    assert fingerprint_model(folder, tmp_path / "cache") == before


@pytest.mark.parametrize("change", RELEVANT.values(), ids=RELEVANT.keys())
def test_what_changes_outputs_changes_the_fingerprint(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = write_model(tmp_path / "model")
    before = fingerprint_model(folder, tmp_path / "cache")
    change(folder)
    assert fingerprint_model(folder, tmp_path / "cache") != before


def test_equal_content_in_two_places_has_one_fingerprint(tmp_path: Path) -> None:
    first, second = write_model(tmp_path / "a" / "x"), write_model(tmp_path / "b" / "y")
    assert fingerprint_model(first, tmp_path / "cache") == fingerprint_model(second, tmp_path / "cache")


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    before = fingerprint_model(folder, tmp_path / "cache")
    weights = folder / "model.safetensors"
    status = weights.stat()
    weights.write_bytes(b"WEIGHTS")  # other content behind the same size and time shows that it was not read
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint_model(folder, tmp_path / "cache") == before
    assert fingerprint_model(folder, tmp_path / "another cache") != before


def test_a_damaged_memory_of_digests_only_costs_time(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    before = fingerprint_model(folder, tmp_path / "cache")
    for sidecar in (tmp_path / "cache").rglob("*.json"):
        sidecar.write_text('{"model.safetensors": 7}')
    assert fingerprint_model(folder, tmp_path / "cache") == before


def test_nothing_is_written_into_the_model_folder(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    before = sorted(folder.iterdir())
    fingerprint_model(folder, tmp_path / "cache")
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_folder_is_refused_by_naming_what_is_missing(tmp_path: Path, missing: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(ModelFolderError, match="safetensors" if missing.endswith("safetensors") else missing):
        fingerprint_model(folder, tmp_path / "cache")


@pytest.mark.parametrize("content", ["{", "[1]"], ids=["not JSON", "not an object"])
def test_a_broken_configuration_is_refused(tmp_path: Path, content: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelFolderError, match="JSON"):
        fingerprint_model(folder, tmp_path / "cache")
