"""Reading files that nobody vouches for: only regular files, no links, a size limit before the first byte.

Everything is opened relative to an open directory, so that a folder swapped for a link half-way changes nothing.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from services.checkpoint.errors import CheckpointRejected
from services.contracts.checkpoints import RejectionReason as Reason

_CHUNK_BYTES: Final = 1 << 20


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """Give the descriptor of a real directory.

    Raises:
        CheckpointRejected: it is missing, a link, or no directory.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise CheckpointRejected(Reason.MISSING_FILE, f"the folder {path.name} is gone") from error
    except OSError as error:  # ELOOP and ENOTDIR: a link or a file in the folder's place
        raise CheckpointRejected(Reason.NOT_A_REGULAR_FILE, f"{path.name} is not a plain folder") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_file(folder: int, name: str, max_bytes: int) -> Iterator[BinaryIO]:
    """Open `name` in an open directory; its size is at most `max_bytes`.

    It is looked at before it is opened, since opening a device can have effects, and again afterwards.

    Raises:
        CheckpointRejected: it is missing, no regular file, too large, or unreadable.
    """
    try:
        _require_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), name, max_bytes)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError as error:
        raise CheckpointRejected(Reason.MISSING_FILE, f"{name} is missing") from error
    except OSError as error:
        raise CheckpointRejected(Reason.UNREADABLE, f"{name} cannot be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        _require_regular(os.fstat(descriptor), name, max_bytes)
        try:
            yield file
        except OSError as error:
            raise CheckpointRejected(Reason.UNREADABLE, f"{name} cannot be read: {error.strerror}") from error


def read_bytes(folder: int, name: str, max_bytes: int) -> bytes:
    """Return the whole file; raise CheckpointRejected as `opened_file`, or when it grew beyond the limit."""
    with opened_file(folder, name, max_bytes) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise CheckpointRejected(Reason.OVERSIZE, f"{name} has more than {max_bytes} bytes")
    return content


def sha256_of(file: BinaryIO, name: str, max_bytes: int) -> str:
    """Return the hex digest of an open file, read from its start in chunks, never more than `max_bytes`."""
    digest, seen = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        seen += len(chunk)
        if seen > max_bytes:
            raise CheckpointRejected(Reason.OVERSIZE, f"{name} has more than {max_bytes} bytes")
        digest.update(chunk)
    return digest.hexdigest()


def _require_regular(status: os.stat_result, name: str, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "no regular file"
        raise CheckpointRejected(Reason.NOT_A_REGULAR_FILE, f"{name} is {kind}")
    if status.st_size > max_bytes:
        raise CheckpointRejected(
            Reason.OVERSIZE, f"{name} has {status.st_size} bytes; at most {max_bytes} are accepted"
        )
