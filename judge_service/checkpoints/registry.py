"""The registry: a directory of immutable checkpoint folders, one a version, that appear by rename.

A folder still being copied is named with a leading dot or a trailing `.partial`, and is not seen. The kernel tells of
changes where it can; a shared volume that cannot is looked at again now and then.
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread
import structlog
from pydantic import TypeAdapter, ValidationError
from watchfiles import awatch

from services.contracts.checkpoints import Version
from services.errors import DependencyUnavailable

MAX_FOLDERS: Final = 1000
_VERSION: Final[TypeAdapter[str]] = TypeAdapter(Version)
_PARTIAL: Final = ".partial"
_log = structlog.get_logger(__name__)


class Registry(Protocol):
    """Where checkpoint folders appear."""

    async def scan(self) -> Mapping[str, Path]:
        """Return the folders by version, the newest first, by when they were written.

        Raises:
            DependencyUnavailable: it cannot be read.
        """
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yield whenever the folders may have changed."""
        ...


class NoRegistry:
    """The registry of a judge that was given none: nothing is in it and nothing arrives."""

    async def scan(self) -> Mapping[str, Path]:
        """Return nothing."""
        return {}

    async def changes(self) -> AsyncIterator[None]:
        """Yield never."""
        await anyio.sleep_forever()
        yield


class FolderRegistry:
    """The directory `root`."""

    def __init__(self, root: Path, *, rescan_s: float) -> None:
        self.root = root
        self._rescan_s = rescan_s

    async def scan(self) -> Mapping[str, Path]:
        """Return the folders; see the port."""
        return await anyio.to_thread.run_sync(self._scan)

    async def changes(self) -> AsyncIterator[None]:
        """Yield whenever the directory may have changed, and every `rescan_s` seconds at the latest."""
        while True:
            if not self.root.is_dir():
                await anyio.sleep(self._rescan_s)
                yield
                continue
            watch = awatch(
                self.root,
                watch_filter=None,
                recursive=False,
                rust_timeout=int(self._rescan_s * 1000),
                yield_on_timeout=True,
            )
            async for _ in watch:
                yield
                if not self.root.is_dir():
                    break

    def _scan(self) -> Mapping[str, Path]:
        try:
            entries = [entry for entry in self.root.iterdir() if _is_complete(entry.name) and entry.is_dir()]
        except OSError as error:
            raise DependencyUnavailable(f"the checkpoint registry cannot be read: {error.strerror}") from error
        folders = [(_written_ns(entry), entry.name, entry) for entry in entries]
        if len(folders) > MAX_FOLDERS:
            _log.warning("registry_too_full", folders=len(folders), looked_at=MAX_FOLDERS)
        newest_first = sorted(folders, reverse=True)[:MAX_FOLDERS]
        return {name: path for _, name, path in newest_first}


def _written_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except FileNotFoundError:
        return 0  # gone since it was listed; verification says so


def _is_complete(name: str) -> bool:
    if name.startswith(".") or name.endswith(_PARTIAL):
        return False
    try:
        _VERSION.validate_python(name)
    except ValidationError:
        return False
    return True
