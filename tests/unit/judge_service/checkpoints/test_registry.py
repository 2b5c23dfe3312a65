import os
from pathlib import Path

import anyio
import pytest

from judge_service.checkpoints.registry import FolderRegistry, NoRegistry
from services.errors import DependencyUnavailable

pytestmark = pytest.mark.anyio


def _folder(root: Path, name: str, written_s: int) -> None:
    (root / name).mkdir()
    os.utime(root / name, (written_s, written_s))


async def test_complete_folders_are_shown_newest_first_and_nothing_else(tmp_path: Path) -> None:
    for number, name in enumerate(("v2", "v1", ".v3.partial", "v4.partial", ".hidden", "UPPER", "v 5", "..v6")):
        _folder(tmp_path, name, 1000 + number)
    (tmp_path / "notes.md").touch()
    found = await FolderRegistry(tmp_path, rescan_s=60.0).scan()
    assert list(found) == ["v1", "v2"]
    assert found["v1"] == tmp_path / "v1"


async def test_registry_that_is_gone_is_unavailable_not_empty(tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable):
        await FolderRegistry(tmp_path / "gone", rescan_s=60.0).scan()


async def test_no_registry_holds_nothing() -> None:
    assert await NoRegistry().scan() == {}


async def test_arrival_by_rename_is_told(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path, rescan_s=0.05)
    (tmp_path / ".v1.partial").mkdir()
    seen: list[str] = []
    with anyio.fail_after(30):
        async for _ in registry.changes():
            if not seen:
                (tmp_path / ".v1.partial").rename(tmp_path / "v1")
            seen = [*await registry.scan(), "looked"]
            if "v1" in seen:
                break
    assert seen == ["v1", "looked"]
