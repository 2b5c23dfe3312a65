"""One running process group: started, read line by line, and stopped so that nothing of it is left.

Each part leads a session of its own. A Ctrl-C at the terminal therefore reaches only the supervisor, and a signal to
the group reaches whatever the part has forked.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from services.stack.part import Part

_CHUNK_BYTES = 1 << 16
_LONGEST_LINE_BYTES = 1 << 14


class PartProcess:
    """A started part."""

    def __init__(self, process: asyncio.subprocess.Process, reader: "asyncio.Task[None]") -> None:
        self._process = process
        self._reader = reader

    @classmethod
    async def start(cls, part: Part, on_line: Callable[[str], None]) -> "PartProcess":
        """Start `part` as the leader of its own process group; each line it writes goes to `on_line`."""
        # A pipe of our own: with asyncio's, waiting for the leader would also wait for every fork that holds the pipe.
        read_end, write_end = os.pipe()
        reader = asyncio.create_task(_forward(read_end, on_line))
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.stack.child", str(os.getpid()), *part.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, **part.environment},
                start_new_session=True,
            )
        finally:
            os.close(write_end)
        return cls(process, reader)

    @property
    def is_alive(self) -> bool:
        """Whether the leader still runs."""
        return self._process.returncode is None

    async def ended(self) -> int:
        """Wait until the leader ends, clear away what it forked, and return the exit status (negative: the signal)."""
        status = await self._process.wait()
        await self._clear_group()
        return status

    async def stop(self, grace_s: float) -> None:
        """Ask the group to end, and end it after `grace_s` seconds; returns when none of it is left."""
        if self.is_alive:
            self._signal_group(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
        await self._clear_group()

    async def _clear_group(self) -> None:
        self._signal_group(signal.SIGKILL)
        await self._process.wait()
        # A process that left the group could hold the pipe open; its lines are not worth waiting for.
        await asyncio.wait([self._reader], timeout=1.0)
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader

    def _signal_group(self, number: signal.Signals) -> None:
        # The group keeps the leader's id for as long as one member lives.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


async def _forward(read_end: int, on_line: Callable[[str], None]) -> None:
    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(read_end, "rb"))
    try:
        async for line in _lines(stream):
            on_line(line)
    finally:
        transport.close()


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield decoded lines; one that never ends is cut rather than held."""
    pending = b""
    while chunk := await stream.read(_CHUNK_BYTES):
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line.decode(errors="replace").rstrip("\r")
        if len(pending) > _LONGEST_LINE_BYTES:
            yield pending.decode(errors="replace")
            pending = b""
    if pending:
        yield pending.decode(errors="replace")
