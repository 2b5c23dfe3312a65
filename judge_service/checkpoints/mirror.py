"""The mirror: keeps the registry's folder in step with a remote registry, so that everything else sees a plain folder.

A checkpoint is pulled under a hidden name, each file checked against the index, and arrives by rename; verification
then runs over it as over any other. Pulled are, the oldest first, those that are not there. Nothing that is there is
ever changed or removed, so whatever the remote does leaves what is served alone.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread
import structlog

from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.settings import CheckpointSettings
from services.checkpoint.bounded_read import opened_file, opened_folder, read_bytes, sha256_of
from services.checkpoint.errors import CheckpointRejected
from services.checkpoint.folder import MAX_MANIFEST_BYTES, max_bytes_of
from services.checkpoint.index import PARTIAL, IndexedCheckpoint, IndexedFile, RegistryIndex
from services.checkpoint.manifest import MANIFEST_FILE
from services.contracts.checkpoints import RejectionReason as Reason
from services.errors import DependencyUnavailable

_MIB: Final = 1 << 20
_PREFIX: Final = ".pull-"
_LOCK: Final = f"{_PREFIX}lock"
_LOCK_POLL_S: Final = 0.5
_TOLD: Final = 3
_log = structlog.get_logger(__name__)


class CheckpointSource(Protocol):
    """A remote registry."""

    async def index(self) -> RegistryIndex | None:
        """Return the index; None when it is the one that was returned last.

        Raises:
            DependencyUnavailable: it cannot be had, or is no index.
        """

    async def fetch(self, version: str, name: str, size_bytes: int, target: Path) -> None:
        """Write one file to `target`, going on after what is there.

        Raises:
            CheckpointRejected: MISSING_FILE, there is none; OVERSIZE or DIGEST_MISMATCH, it has another length.
            DependencyUnavailable: it broke off; what came is kept.
            OSError: it cannot be written.
        """


class Mirror:
    """Pulls what `source` lists into `folder`.

    Attributes:
        settled: set once the first round has ended, well or not.
        trouble: why the folder lacks something that is listed; None when it does not.
    """

    def __init__(
        self, source: CheckpointSource, folder: Path, settings: CheckpointSettings, metrics: CheckpointMetrics
    ) -> None:
        self.settled = asyncio.Event()
        self.trouble: str | None = None
        self._source = source
        self._folder = folder
        self._settings = settings
        self._metrics = metrics
        self._index: RegistryIndex | None = None
        self._refused: dict[str, str] = {}

    async def run(self) -> None:
        """Pull round after round, for ever."""
        while True:
            await self.round()
            self.settled.set()
            await asyncio.sleep(self._settings.rescan_s)

    async def round(self) -> None:
        """Look at the index and pull what is missing, within bounded time; failures are told, not raised."""
        troubles: list[str] = []
        try:
            async with asyncio.timeout(self._settings.remote_timeout_s):
                await self._pull_missing(troubles)
        except TimeoutError:
            troubles.append(f"a round took longer than {self._settings.remote_timeout_s:g} s; the next one goes on")
            self._metrics.pulls.labels("unfinished").inc()
        except DependencyUnavailable as error:
            troubles.append(error.detail)
            self._metrics.pulls.labels("unavailable").inc()
        except OSError as error:
            troubles.append(f"the folder cannot be written: {error.strerror}")
            self._metrics.pulls.labels("no_room").inc()
        self._tell(troubles)

    async def _pull_missing(self, troubles: list[str]) -> None:
        # A server that sends no validators returns the same index again; what was refused from it stays refused.
        if (index := await self._source.index()) is not None and index != self._index:
            self._index, self._refused = index, {}
        missing = await anyio.to_thread.run_sync(self._missing)
        if missing:
            async with self._alone():
                # Another process may have pulled some meanwhile.
                missing = await anyio.to_thread.run_sync(self._missing)
                await anyio.to_thread.run_sync(self._forget_partial, missing)
                for entry in missing:
                    await self._take(entry, troubles)
        troubles.extend(self._refused.values())

    async def _take(self, entry: IndexedCheckpoint, troubles: list[str]) -> None:
        """Pull one checkpoint; one that is refused does not keep the others."""
        if await anyio.Path(self._folder / entry.version).exists():
            troubles.append(f"{entry.version}: the folder holds another content under this name; it stays as it is")
            return
        try:
            self._require_fit(entry)
            await self._pull(entry)
        except CheckpointRejected as error:
            told = f"{entry.version}: {error.detail} ({error.reason})"
            self._metrics.pulls.labels(error.reason).inc()
            if error.reason is Reason.MISSING_FILE:
                troubles.append(told)  # it may only be on its way
            else:
                self._refused[entry.version] = told  # not asked for again before the index changes
                await anyio.to_thread.run_sync(self._forget, entry)
        except OSError:
            await anyio.to_thread.run_sync(self._forget, entry)  # a full disk should not stay full by our doing
            raise
        else:
            self._metrics.pulls.labels("pulled").inc()
            _log.info("checkpoint_pulled", checkpoint=entry.version, size_bytes=entry.size_bytes)

    def _require_fit(self, entry: IndexedCheckpoint) -> None:
        for name, file in entry.files.items():
            limit = max_bytes_of(name, self._settings.max_adapter_mib * _MIB)
            if file.size_bytes > limit:
                detail = f"{name} has {file.size_bytes} bytes; at most {limit} are accepted"
                raise CheckpointRejected(Reason.OVERSIZE, detail)

    async def _pull(self, entry: IndexedCheckpoint) -> None:
        scratch = self._scratch(entry)
        await anyio.to_thread.run_sync(self._require_room, entry)
        await anyio.Path(scratch).mkdir(exist_ok=True)
        for name, file in sorted(entry.files.items()):
            await self._file(entry.version, name, file, scratch / name)
        await anyio.to_thread.run_sync(_arrive, scratch, self._folder / entry.version, entry.written_ns)

    async def _file(self, version: str, name: str, file: IndexedFile, target: Path) -> None:
        """Pull one file; if what was resumed does not fit together, once more from the start."""
        path = anyio.Path(target)
        resumed = await path.exists()
        await self._source.fetch(version, name, file.size_bytes, target)
        if await anyio.to_thread.run_sync(_digest, target, file) == file.sha256:
            return
        await path.unlink()
        if resumed:
            await self._source.fetch(version, name, file.size_bytes, target)
            if await anyio.to_thread.run_sync(_digest, target, file) == file.sha256:
                return
        raise CheckpointRejected(Reason.DIGEST_MISMATCH, f"{name} is not the file that the index names")

    def _missing(self) -> tuple[IndexedCheckpoint, ...]:
        """Return what is listed, not refused and not here with that content; the oldest first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        listed = reversed(self._index.checkpoints) if self._index else ()
        return tuple(
            entry for entry in listed if entry.version not in self._refused and self._digest_here(entry) != entry.digest
        )

    def _digest_here(self, entry: IndexedCheckpoint) -> str | None:
        try:
            with opened_folder(self._folder / entry.version) as folder:
                return hashlib.sha256(read_bytes(folder, MANIFEST_FILE, MAX_MANIFEST_BYTES)).hexdigest()
        except CheckpointRejected:
            return None

    def _require_room(self, entry: IndexedCheckpoint) -> None:
        begun = self._scratch(entry)  # its files are part of what the entry takes
        used = sum(path.lstat().st_size for path in self._folder.glob("*/*") if path.parent != begun)
        limit = self._settings.remote_max_mib * _MIB
        if used + entry.size_bytes > limit:
            detail = (
                f"{entry.version} does not fit: the folder holds {used} bytes of {limit}; remove what is not needed"
            )
            raise DependencyUnavailable(detail)

    def _scratch(self, entry: IndexedCheckpoint) -> Path:
        return self._folder / f"{_PREFIX}{entry.version}-{entry.digest[:12]}{PARTIAL}"

    def _forget(self, entry: IndexedCheckpoint) -> None:
        shutil.rmtree(self._scratch(entry), ignore_errors=True)

    def _forget_partial(self, keep: tuple[IndexedCheckpoint, ...]) -> None:
        """Remove what was begun and is not wanted any more."""
        kept = {self._scratch(entry).name for entry in keep}
        for path in self._folder.glob(f"{_PREFIX}*{PARTIAL}"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Be the only process that pulls into the folder; the lock ends with the process."""
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while not _locked(descriptor):  # noqa: ASYNC110 - the lock is another process's
                await asyncio.sleep(_LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    def _tell(self, troubles: list[str]) -> None:
        told = "; ".join(troubles[:_TOLD]) or None
        if told is not None and told != self.trouble:
            _log.warning("registry_not_mirrored", detail=told)
        elif told is None and self.trouble is not None:
            _log.info("registry_mirrored")
        self.trouble = told
        self._metrics.mirrored.set(told is None)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _digest(path: Path, file: IndexedFile) -> str:
    """Return the digest of what is on disk, flushed."""
    with opened_folder(path.parent) as folder, opened_file(folder, path.name, file.size_bytes) as stream:
        os.fsync(stream.fileno())
        return sha256_of(stream, path.name, file.size_bytes)


def _arrive(scratch: Path, folder: Path, written_ns: int) -> None:
    """Let a complete folder appear under its name, in one step and with the time of its making."""
    os.utime(scratch, ns=(written_ns, written_ns))
    scratch.rename(folder)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
