"""The supervisor on real processes: order, restart, giving up, and leaving nothing behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from services.stack.errors import PartFailedError
from services.stack.events import PartCrashed, PartLog, PartReady, PartStarting, PartStopped, StackEvent
from services.stack.part import Part, TcpProbe
from services.stack.supervisor import RestartPolicy, Supervisor

pytestmark = pytest.mark.integration

POLICY = RestartPolicy(first_pause_s=0.05, longest_pause_s=0.1, most_crashes=2, healthy_after_s=60.0, stop_grace_s=5.0)

# Both write to one pipe, each line in one write: unbuffered, print writes a line in parts, which could mix.
SERVER = """
    import os, signal, socket, subprocess, sys, time
    os.write(1, f"pid {os.getpid()}\\n".encode())
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        connection, _ = listener.accept()
        if connection.recv(9) == b"crash":
            os._exit(3)
"""
FORKING = (
    """
    import os, subprocess, sys
    deaf = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b'deaf\\\\n'); signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", deaf])
    os.write(1, f"child {child.pid}\\n".encode())
"""
    + SERVER
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def part(name: str, script: str, port: int, *, start_timeout_s: float = 20.0) -> Part:
    command = (sys.executable, "-c", textwrap.dedent(script), str(port))
    return Part(name=name, command=command, probe=TcpProbe(port), start_timeout_s=start_timeout_s)


async def crash(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"crash")
    await writer.drain()
    await reader.read()
    writer.close()


class Recorder:
    """Collects events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[StackEvent] = []
        self._changed = asyncio.Event()

    def __call__(self, event: StackEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, wanted: Callable[[StackEvent], bool], count: int = 1) -> None:
        while sum(1 for event in self.events if wanted(event)) < count:
            self._changed.clear()
            await self._changed.wait()

    def pids(self) -> list[int]:
        lines = [event.line.split() for event in self.events if isinstance(event, PartLog)]
        return [int(words[1]) for words in lines if words[0] in ("pid", "child")]


async def run(parts: list[Part], recorder: Recorder, work: Callable[[], Awaitable[None]]) -> None:
    await Supervisor(recorder, POLICY).run(parts, work)


async def nothing() -> None:
    return None


async def test_parts_start_in_order_once_the_one_before_is_ready_and_stop_in_reverse() -> None:
    recorder = Recorder()
    await run([part("first", SERVER, free_port()), part("second", SERVER, free_port())], recorder, nothing)
    order = [(type(event), event.part) for event in recorder.events if not isinstance(event, PartLog | PartCrashed)]  # type: ignore[union-attr]
    assert order == [
        (PartStarting, "first"),
        (PartReady, "first"),
        (PartStarting, "second"),
        (PartReady, "second"),
        (PartStopped, "second"),
        (PartStopped, "first"),
    ]


async def test_a_crashed_part_is_started_again_and_its_exit_status_is_told() -> None:
    recorder, port = Recorder(), free_port()

    async def work() -> None:
        await crash(port)
        await recorder.until(lambda event: isinstance(event, PartReady), count=2)

    await run([part("server", SERVER, port)], recorder, work)
    assert PartCrashed("server", 3, POLICY.pause_s(1)) in recorder.events


async def test_too_many_crashes_in_a_row_end_the_stack_with_one_line() -> None:
    recorder, port, other = Recorder(), free_port(), free_port()

    async def work() -> None:
        for ready in range(1, POLICY.most_crashes + 2):
            await recorder.until(lambda event: isinstance(event, PartReady) and event.part == "fragile", count=ready)
            await crash(port)
        await asyncio.Event().wait()

    with pytest.raises(PartFailedError, match="fragile crashed 3 times in a row"):
        await run([part("steady", SERVER, other), part("fragile", SERVER, port)], recorder, work)
    assert not any(_runs(pid) for pid in recorder.pids())


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise SystemExit(7)", "ended with status 7 before it was ready"),
        ("import time; time.sleep(60)", "not ready within"),
    ],
    ids=["ends at once", "never answers"],
)
async def test_a_part_that_does_not_start_stops_the_ones_before_it(script: str, message: str) -> None:
    recorder = Recorder()
    parts = [part("good", SERVER, free_port()), part("bad", script, free_port(), start_timeout_s=1.0)]
    with pytest.raises(PartFailedError, match=message):
        await run(parts, recorder, nothing)
    assert PartStopped("good") in recorder.events


async def test_what_a_part_forked_is_gone_too_even_if_it_ignores_the_signal() -> None:
    recorder = Recorder()

    async def work() -> None:
        await recorder.until(lambda event: event == PartLog("forking", "deaf"))

    await run([part("forking", FORKING, free_port())], recorder, work)
    assert len(recorder.pids()) == 2
    async with asyncio.timeout(10):  # a killed process closes its files a moment before it counts as ended
        while any(_runs(pid) for pid in recorder.pids()):  # noqa: ASYNC110 - processes set no event
            await asyncio.sleep(0.01)


async def test_cancelling_stops_every_part() -> None:
    recorder = Recorder()
    task = asyncio.create_task(run([part("server", SERVER, free_port())], recorder, asyncio.Event().wait))  # type: ignore[arg-type]
    await recorder.until(lambda event: isinstance(event, PartReady))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert PartStopped("server") in recorder.events


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_killed_supervisor_leaves_no_part(tmp_path: Path) -> None:
    script = f"""
        import asyncio, sys
        from services.stack.events import PartLog
        from services.stack.part import Part, TcpProbe
        from services.stack.supervisor import RestartPolicy, Supervisor
        part = Part(name="server", command=(sys.executable, "-c", {textwrap.dedent(SERVER)!r}, "{free_port()}"),
                    probe=TcpProbe(1), start_timeout_s=60.0)
        show = lambda event: isinstance(event, PartLog) and print(event.line, flush=True)
        asyncio.run(Supervisor(show, RestartPolicy()).run([part], asyncio.Event().wait))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as supervisor:
        assert supervisor.stdout is not None
        child = psutil.Process(int(supervisor.stdout.readline().split()[1]))
        os.kill(supervisor.pid, signal.SIGKILL)
        child.wait(timeout=20)
    assert not _runs(child.pid)


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
