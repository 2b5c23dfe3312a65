import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.checkpoint.index import INDEX_FILE, RegistryIndex
from services.checkpoint.manifest import GOLDEN_FILE, MANIFEST_FILE, PAYLOAD_FILES
from tests.support.checkpoint_folders import write_checkpoint
from trainer.cli import app
from trainer.errors import PackagingError
from trainer.packaging.index import write_index


def test_index_lists_every_file_with_size_and_digest_the_newest_checkpoint_first(tmp_path: Path) -> None:
    for number, version in enumerate(("v2", "v1")):
        write_checkpoint(tmp_path / version)
        os.utime(tmp_path / version, (1000 + number, 1000 + number))
    (tmp_path / ".v3.partial").mkdir()
    (tmp_path / "v4.partial").mkdir()
    (tmp_path / "notes.md").touch()
    write_index(tmp_path)
    index = RegistryIndex.model_validate_json((tmp_path / INDEX_FILE).read_bytes())
    assert [entry.version for entry in index.checkpoints] == ["v1", "v2"]
    entry = index.checkpoints[0]
    assert set(entry.files) == {*PAYLOAD_FILES, MANIFEST_FILE}
    for name, file in entry.files.items():
        content = (tmp_path / "v1" / name).read_bytes()
        assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".v3.partial",
        INDEX_FILE,
        "notes.md",
        "v1",
        "v2",
        "v4.partial",
    ]


def _no_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()


def _broken_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text("{}")


def _file_gone(folder: Path) -> None:
    (folder / GOLDEN_FILE).unlink()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [(_no_manifest, MANIFEST_FILE), (_broken_manifest, MANIFEST_FILE), (_file_gone, GOLDEN_FILE)],
    ids=["no manifest", "broken manifest", "a file is gone"],
)
def test_what_is_no_whole_checkpoint_is_named_and_the_index_stays(
    tmp_path: Path, spoil: Callable[[Path], None], named: str
) -> None:
    write_checkpoint(tmp_path / "v1")
    write_index(tmp_path)
    before = (tmp_path / INDEX_FILE).read_bytes()
    write_checkpoint(tmp_path / "v2")
    spoil(tmp_path / "v2")
    with pytest.raises(PackagingError, match=named):
        write_index(tmp_path)
    assert (tmp_path / INDEX_FILE).read_bytes() == before


def test_command_writes_it_and_says_what_is_listed(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "v1")
    result = CliRunner().invoke(app, ["index", str(tmp_path)])
    assert (result.exit_code, "lists v1" in result.output.replace("\n", "")) == (0, True)
