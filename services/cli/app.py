"""The commands put together, and the one place where a failure becomes a line and an exit code."""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from services.cli.commands import checkpoints, evaluate, keys, model, refine, stack, status
from services.cli.context import CliContext
from services.cli.exits import ExitCode, failure_of
from services.cli.settings import CliSettings
from services.cli.terminal import Terminal

app = typer.Typer(
    name="theraloop",
    help="Judge and refine replies of mental-health language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(stack.up)
app.command("demo")(stack.demo)
app.command("status")(status.status)
app.command("evaluate")(evaluate.evaluate)
app.command("refine")(refine.refine)
app.add_typer(model.app, name="model")
app.add_typer(checkpoints.app, name="checkpoints")
app.add_typer(keys.app, name="keys")


@app.callback()
def _entry(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
) -> None:
    """Judge and refine replies of mental-health language models."""


def main(arguments: Sequence[str] | None = None, context: CliContext | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: without the program's name; None: the process's.
        context: what the command works with; None: the process's terminal, environment and network.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    terminal = Terminal.of(sys.stdout, sys.stderr) if context is None else context.terminal
    try:
        return (
            app(given, prog_name="theraloop", standalone_mode=False, obj=context or _own_context(terminal))
            or ExitCode.OK
        )
    except typer.TyperException as error:
        terminal.error(f"{error.format_message()} (`theraloop --help` lists what there is)")
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:
        if given[:1] == ["--debug"]:
            terminal.note(traceback.format_exc())
        failure = failure_of(error)
        for line in failure.lines:
            terminal.error(line)
        return failure.code


def _own_context(terminal: Terminal) -> CliContext:
    return CliContext(terminal=terminal, stdin=sys.stdin, settings=CliSettings())
