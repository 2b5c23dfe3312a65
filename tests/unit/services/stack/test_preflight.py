"""Each thing that would keep the stack from running gives one line that names the mend."""

import socket
from dataclasses import replace

import pytest

from services.stack.config import Ports, StackConfig
from services.stack.errors import PreflightError
from services.stack.preflight import Machine, check_machine, inspect_machine

READY = Machine(
    python_version=(3, 11),
    system="Linux",
    architecture="x86_64",
    available_memory_gib=16.0,
    free_disk_gib=20.0,
    missing_libraries=(),
    missing_system_packages=(),
    taken_ports=frozenset(),
)


def test_a_machine_that_has_all_passes() -> None:
    check_machine(READY, StackConfig())


@pytest.mark.parametrize(
    ("change", "problem", "mend"),
    [
        ({"python_version": (3, 10)}, "Python 3.10", "python3.11 or python3.12"),
        ({"system": "Darwin"}, "Darwin", "Linux"),
        ({"missing_libraries": ("vllm",)}, "vLLM is not installed", "make setup"),
        ({"missing_system_packages": ("libnuma1",)}, "libnuma1 is missing", "apt-get install libnuma1"),
        ({"available_memory_gib": 3.0}, "3.0 GiB of memory", "close other programs"),
        ({"free_disk_gib": 0.5}, "0.5 GiB of disk", "XDG_CACHE_HOME"),
        ({"taken_ports": frozenset({8101})}, "port 8101 (judge) is taken", "--judge-port"),
    ],
    ids=["python", "system", "library", "system package", "memory", "disk", "port"],
)
def test_one_problem_is_one_line_with_its_mend(change: dict[str, object], problem: str, mend: str) -> None:
    with pytest.raises(PreflightError) as caught:
        check_machine(replace(READY, **change), StackConfig())  # type: ignore[arg-type]
    (line,) = caught.value.problems
    assert problem in line
    assert mend in line


def test_all_problems_are_said_at_once() -> None:
    machine = replace(READY, free_disk_gib=0.1, taken_ports=frozenset({8100, 8102}))
    with pytest.raises(PreflightError) as caught:
        check_machine(machine, StackConfig())
    assert len(caught.value.problems) == 3


def test_a_gpu_engine_does_not_ask_for_its_memory_here() -> None:
    check_machine(replace(READY, available_memory_gib=1.0), StackConfig(device="gpu"))


def test_a_port_that_something_listens_on_is_found() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert port in inspect_machine(StackConfig(ports=Ports(judge=port))).taken_ports
