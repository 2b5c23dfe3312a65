"""Write `index.json` beside a registry's checkpoint folders, so that a plain file server is a registry.

Digests are those that each checkpoint's manifest states, so nothing large is read; a judge checks them when it pulls.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from services.checkpoint.index import INDEX_FILE, PARTIAL, IndexedCheckpoint, IndexedFile, RegistryIndex
from services.checkpoint.manifest import MANIFEST_FILE, CheckpointManifest
from trainer.errors import PackagingError


def write_index(registry: Path) -> RegistryIndex:
    """Write the index of all checkpoints in `registry`, in one step, and return it.

    Raises:
        PackagingError: a folder holds no sound manifest or lacks a file, or the registry cannot be written.
    """
    try:
        folders = [path for path in registry.iterdir() if path.is_dir() and _is_complete(path.name)]
        index = RegistryIndex(checkpoints=tuple(sorted(map(_entry, folders), key=_newest_first)))
        handle, scratch = tempfile.mkstemp(prefix=f".{INDEX_FILE}.", suffix=PARTIAL, dir=registry)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(index.to_bytes())
                file.flush()
                os.fsync(handle)
            Path(scratch).chmod(0o644)
            Path(scratch).replace(registry / INDEX_FILE)
        finally:
            Path(scratch).unlink(missing_ok=True)
    except OSError as error:
        raise PackagingError(f"{registry}: the index cannot be written: {error.strerror}") from error
    except ValidationError as error:
        raise PackagingError(f"{registry}: {error.errors()[0]['msg']}") from error
    return index


def _is_complete(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(PARTIAL)


def _newest_first(entry: IndexedCheckpoint) -> tuple[int, str]:
    return -entry.written_ns, entry.version


def _entry(folder: Path) -> IndexedCheckpoint:
    try:
        raw = (folder / MANIFEST_FILE).read_bytes()
        manifest = CheckpointManifest.model_validate_json(raw)
    except (OSError, ValidationError) as error:
        raise PackagingError(f"{folder} holds no sound {MANIFEST_FILE}; move it out of the registry") from error
    digests = {**manifest.files, MANIFEST_FILE: hashlib.sha256(raw).hexdigest()}
    try:
        files = {
            name: IndexedFile(size_bytes=(folder / name).stat().st_size, sha256=digest)
            for name, digest in sorted(digests.items())
        }
    except OSError as error:
        raise PackagingError(f"{folder} lacks {Path(error.filename).name}, which its manifest lists") from error
    return IndexedCheckpoint(version=folder.name, written_ns=folder.stat().st_mtime_ns, files=files)
