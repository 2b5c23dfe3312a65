"""Docker Compose on podman: its API service, and the health checks that podman leaves to systemd.

podman offers Docker's API on a socket, so Compose itself runs. Where no systemd runs, nothing calls the containers'
health checks: this does, every few seconds, as the Docker daemon would.
"""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import tool


@dataclass(frozen=True)
class Compose:
    """One Compose project."""

    command: Sequence[str]
    environment: Mapping[str, str]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a Compose command; a failure that is not expected shows what it said."""
        command = [*self.command, *words]
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert not check or result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result


def podman(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a podman command."""
    command = [tool("podman", "Debian: apt-get install podman"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def compose_project(
    name: str, files: Sequence[Path], environment: Mapping[str, str], folder: Path
) -> Iterator[Compose]:
    """Serve Docker's API and check health until the block ends; then take down whatever the project still has."""
    program, compose = tool("podman", "Debian: apt-get install podman"), tool("docker-compose", "make setup")
    socket, over = folder / "podman.sock", threading.Event()
    service = subprocess.Popen([program, "system", "service", "--time", "0", f"unix://{socket}"])
    checks = threading.Thread(target=_check_health, args=(name, over), daemon=True)
    command = [compose, "--project-name", name, *(word for file in files for word in ("--file", str(file)))]
    project = Compose(command, {**os.environ, **environment, "DOCKER_HOST": f"unix://{socket}"})
    checks.start()
    try:
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "45", check=False)
        over.set()
        checks.join()
        service.terminate()
        service.wait()


def _check_health(project: str, over: threading.Event) -> None:
    own = f"label=com.docker.compose.project={project}"
    while not over.wait(3):
        for container in podman("ps", "--quiet", "--filter", own).stdout.split():
            podman("healthcheck", "run", container)
