"""The exit codes, and which failure ends with which: one table, one line on standard error each, never a traceback."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from services.cli.errors import UsageProblem
from services.client import errors as client
from services.engine.errors import EngineError
from services.stack.errors import PreflightError, StackError


class ExitCode(IntEnum):
    """What scripts can rely on."""

    OK = 0
    BUG = 1
    """Something unforeseen."""
    USAGE = 2
    """Arguments, files or standard input do not make a request; nothing was sent."""
    UNREACHABLE = 3
    """Nothing answers at the address; for `status`: no stack runs."""
    REFUSED = 4
    """The service refused the request; the same one will not succeed."""
    BUSY = 5
    """The service is overloaded, not ready or out of time; the same request may succeed later."""
    NOT_STARTED = 6
    """The stack or the model could not be brought up."""
    INCOMPLETE = 7
    """Some items of a batch were not judged; each says why."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a command ends: the code, and lines that each name a mend (mostly one)."""

    code: ExitCode
    lines: tuple[str, ...]


_CODES: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (UsageProblem, ExitCode.USAGE),
    (client.Unreachable, ExitCode.UNREACHABLE),
    (client.DeadlineExceeded, ExitCode.BUSY),
    (client.ClientError, ExitCode.REFUSED),
    (StackError, ExitCode.NOT_STARTED),
    (EngineError, ExitCode.NOT_STARTED),
    (ModuleNotFoundError, ExitCode.NOT_STARTED),
)


def failure_of(error: Exception) -> Failure:
    """Return how a command ends that failed with `error`."""
    if isinstance(error, client.ProblemError) and error.retryable:
        return Failure(ExitCode.BUSY, _lines(error))
    code = next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.BUG)
    return Failure(code, _lines(error) if code is not ExitCode.BUG else (_bug(error),))


def _lines(error: Exception) -> tuple[str, ...]:
    match error:
        case client.Unreachable():
            mend = "`theraloop up` starts a local stack, --judge-url and --agent-url name another"
            return (f"{error.detail} {mend}",)
        case client.Unauthenticated():
            return (f"{error.detail} (the key is read from THERALOOP_API_KEY)",)
        case PreflightError():
            return error.problems
        case ModuleNotFoundError():
            mend = "this command needs the whole installation: pip install 'theraloop[judge,agent,engine-cpu]'"
            return (f"the package {error.name} is missing; {mend}",)
        case _:
            return (str(error),)


def _bug(error: Exception) -> str:
    return f"this is a bug, please report it ({type(error).__name__}: {error}); `theraloop --debug …` shows where"
