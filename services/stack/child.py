"""Become a part's program, tied to the supervisor's life: `python -m services.stack.child PARENT_PID PROGRAM ARGS…`.

On Linux the kernel sends SIGTERM to this process when the supervisor dies, even by SIGKILL, and the setting survives
`exec`. So a killed supervisor leaves nothing behind.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and replace it by the program; does not return."""
    parent_pid, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:  # the supervisor died before the line above
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - a program of the plan, without a shell


if __name__ == "__main__":
    main(sys.argv[1:])
