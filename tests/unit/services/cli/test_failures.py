"""Every failure is one line with a mend and the documented exit code, never a traceback."""

import httpx
import pytest

from services.cli.exits import ExitCode, failure_of
from services.engine.errors import DownloadError
from services.stack.errors import PartFailedError, PreflightError
from tests.support.canned_answers import Answer, problem_answer
from tests.unit.services.cli.conftest import Run


@pytest.mark.parametrize(
    ("answers", "code", "mend"),
    [
        pytest.param([httpx.ConnectError("refused")] * 3, ExitCode.UNREACHABLE, "theraloop up", id="nothing there"),
        pytest.param([problem_answer(401, "unauthenticated")], ExitCode.REFUSED, "THERALOOP_API_KEY", id="no key"),
        pytest.param([problem_answer(403, "forbidden")], ExitCode.REFUSED, "what to do", id="no scope"),
        pytest.param([problem_answer(413, "too-large")], ExitCode.REFUSED, "what to do", id="too large"),
        pytest.param([problem_answer(422, "invalid-input")], ExitCode.REFUSED, "what to do", id="invalid"),
        pytest.param([problem_answer(500, "internal")], ExitCode.REFUSED, "what to do", id="bug there"),
        pytest.param(
            [problem_answer(429, "overloaded", retryable=True)] * 3, ExitCode.BUSY, "what to do", id="overloaded"
        ),
        pytest.param([httpx.ReadTimeout("late")], ExitCode.BUSY, "more time", id="late"),
        pytest.param([httpx.Response(200, text="hello")], ExitCode.REFUSED, "one version", id="no answer of ours"),
    ],
)
def test_a_failed_call(run: Run, answers: list[Answer], code: ExitCode, mend: str) -> None:
    ended = run("evaluate", "b", "-c", "a", answers=tuple(answers))
    assert (ended.code, ended.out) == (code, "")
    assert mend in ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        pytest.param(PreflightError(["port taken", "no memory"]), 6, ("port taken", "no memory"), id="preflight"),
        pytest.param(PartFailedError("judge ended"), 6, ("judge ended",), id="part"),
        pytest.param(DownloadError("offline"), 6, ("offline",), id="download"),
    ],
)
def test_a_stack_that_does_not_start_says_all_that_is_wrong(
    error: Exception, code: int, lines: tuple[str, ...]
) -> None:
    assert (failure_of(error).code, failure_of(error).lines) == (code, lines)


def test_an_installation_without_the_stack_says_how_to_get_it() -> None:
    failure = failure_of(ModuleNotFoundError("No module named 'psutil'", name="psutil"))
    assert failure.code == ExitCode.NOT_STARTED
    assert "psutil" in failure.lines[0]
    assert "pip install" in failure.lines[0]


def test_the_unforeseen_is_one_line_too_and_shown_whole_on_demand(run: Run) -> None:
    ended = run("evaluate", "b", "-c", "a", answers=(ZeroDivisionError("oh"),))
    assert ended.code == ExitCode.BUG
    assert ended.err.count("\n") == 1
    assert "Traceback" in run("--debug", "evaluate", "b", "-c", "a", answers=(ZeroDivisionError("oh"),)).err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["evaluate", "--help"], ["refine", "--help"], ["up", "--help"], ["keys", "new", "--help"]]
)
def test_help_is_there(run: Run, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments).code == 0
    assert "Usage" in capsys.readouterr().out
