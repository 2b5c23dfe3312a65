"""The command line from end to end, with a scripted network."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from services.cli import main
from services.cli.context import CliContext
from services.cli.settings import CliSettings
from services.cli.terminal import Terminal
from tests.support.canned_answers import Answer, Script


class _Stdin(io.StringIO):
    def __init__(self, text: str | None) -> None:
        super().__init__(text or "")
        self._is_terminal = text is None

    def isatty(self) -> bool:
        return self._is_terminal


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    script: Script = field(repr=False)


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs one command: its arguments, the network's answers, and standard input (None: a terminal)."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run_one(*arguments: str, answers: tuple[Answer, ...] = (), stdin: str | None = None) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        script = Script.of(*answers)
        context = CliContext(
            terminal=Terminal.of(out, err),
            stdin=_Stdin(stdin),
            settings=CliSettings(),
            find_stack=lambda: None,
            transport=script.transport(),
        )
        code = main(arguments, context)
        return Ended(code, out.getvalue(), err.getvalue(), script)

    return run_one
