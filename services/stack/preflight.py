"""What must be true before the stack starts; everything that is not is one line with the mend.

All checks run before any is reported, so that a person mends the machine once.
"""

import ctypes
import importlib.util
import platform
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.stack.config import StackConfig
from services.stack.errors import PreflightError

_GIB = 1 << 30
_ENGINE_MEMORY_GIB = 4.5
"""vLLM's three processes with the embedded model, without the KV cache (measured: 5.3 with one GiB of it)."""
_SERVICES_MEMORY_GIB = 1.0
_DISK_GIB = 1.5
"""The downloaded parts, the GGUF file and the converted model together."""
_PYTHON_VERSIONS = ((3, 11), (3, 12))
_LIBRARIES = {"vllm": "vLLM", "transformers": "transformers", "fastapi": "FastAPI"}
_SYSTEM_LIBRARIES = {"libnuma.so.1": "libnuma1", "libstdc++.so.6": "libstdc++6"}
"""What vLLM's CPU build links against, with the Debian package of each."""


@dataclass(frozen=True)
class Machine:
    """What preflight looks at."""

    python_version: tuple[int, int]
    system: str
    architecture: str
    available_memory_gib: float
    free_disk_gib: float
    missing_libraries: tuple[str, ...]
    missing_system_packages: tuple[str, ...]
    taken_ports: frozenset[int]


def inspect_machine(config: StackConfig) -> Machine:
    """Look at this machine; asks only about the ports and folders of `config`."""
    ports = config.ports
    return Machine(
        python_version=sys.version_info[:2],
        system=platform.system(),
        architecture=platform.machine(),
        available_memory_gib=psutil.virtual_memory().available / _GIB,
        free_disk_gib=shutil.disk_usage(_existing_parent(config.cache_dir)).free / _GIB,
        missing_libraries=tuple(name for name in _LIBRARIES if importlib.util.find_spec(name) is None),
        missing_system_packages=tuple(name for file, name in _SYSTEM_LIBRARIES.items() if not _is_loadable(file)),
        taken_ports=frozenset(
            port for port in (ports.engine, ports.judge, ports.agent, ports.redis) if _is_taken(port)
        ),
    )


def check_machine(machine: Machine, config: StackConfig) -> None:
    """Raise `PreflightError` with one line for each thing that would keep the stack from running."""
    problems = [*_platform_problems(machine), *_resource_problems(machine, config), *_port_problems(machine, config)]
    if problems:
        raise PreflightError(problems)


def _platform_problems(machine: Machine) -> Iterator[str]:
    if machine.python_version not in _PYTHON_VERSIONS:
        found = ".".join(str(part) for part in machine.python_version)
        yield f"Python {found} is not supported: install python3.11 or python3.12 with venv, then `make setup`"
    if machine.system != "Linux":
        yield f"{machine.system} is not supported: vLLM's CPU build needs Linux (a virtual machine will do)"
    for library in machine.missing_libraries:
        yield f"{_LIBRARIES[library]} is not installed: run `make setup`"
    for package in machine.missing_system_packages:
        yield f"the system package {package} is missing: `sudo apt-get install {package}`"


def _resource_problems(machine: Machine, config: StackConfig) -> Iterator[str]:
    needed_gib = _SERVICES_MEMORY_GIB
    if config.device == "cpu":
        needed_gib += _ENGINE_MEMORY_GIB + config.kv_cache_gib
    if machine.available_memory_gib < needed_gib:
        yield (
            f"{machine.available_memory_gib:.1f} GiB of memory are available and {needed_gib:.1f} are needed: "
            "close other programs or use a larger machine"
        )
    if machine.free_disk_gib < _DISK_GIB:
        yield (
            f"{machine.free_disk_gib:.1f} GiB of disk are free under {config.cache_dir} and {_DISK_GIB} are needed: "
            "make room, or set XDG_CACHE_HOME to another disk"
        )


def _port_problems(machine: Machine, config: StackConfig) -> Iterator[str]:
    for part, port in _named_ports(config).items():
        if port in machine.taken_ports:
            yield (
                f"port {port} ({part}) is taken: stop what listens there (`ss -ltnp 'sport = :{port}'` shows it), "
                f"or choose another with --{part}-port"
            )


def _named_ports(config: StackConfig) -> Mapping[str, int]:
    ports = config.ports
    return {"engine": ports.engine, "judge": ports.judge, "agent": ports.agent, "redis": ports.redis}


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _is_loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _existing_parent(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
