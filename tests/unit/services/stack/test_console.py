"""What a person sees while a stack runs."""

import io

import pytest
from rich.console import Console

from services.engine.progress import Progress
from services.stack.console import ConsoleReporter, readable_line
from services.stack.events import Notice, PartCrashed, PartLog, PartReady, PartStarting, PartStopped, StackEvent


def shown(event: StackEvent, *, terminal: bool = False) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, color_system="standard" if terminal else None, width=40)
    ConsoleReporter(console)(event)
    return output.getvalue()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (PartStarting("engine"), "engine | starting\n"),
        (PartReady("judge", 1.25), "judge  | ready after 1.2 s\n"),
        (PartLog("agent", "hello [bold]world[/bold]"), "agent  | hello [bold]world[/bold]\n"),
        (PartCrashed("judge", -9, 2.0), "judge  | ended with status -9; starting again in 2 s\n"),
        (PartStopped("redis"), "redis  | stopped\n"),
        (Notice("no Redis was found"), "stack  | no Redis was found\n"),
        (Progress("download", "part 1", 1, 5), "model  | download: part 1 [1/5]\n"),
        (Progress("convert", "once"), "model  | convert: once\n"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_an_event_is_one_prefixed_line_without_colours_outside_a_terminal(event: StackEvent, line: str) -> None:
    assert shown(event) == line


def test_a_long_line_is_not_broken() -> None:
    assert shown(PartLog("engine", "x" * 500)).count("\n") == 1


def test_a_terminal_gets_colours() -> None:
    assert "\x1b[" in shown(PartReady("judge", 1.0), terminal=True)


@pytest.mark.parametrize(
    ("line", "readable"),
    [
        ('{"event": "ready", "level": "info", "logger": "x", "port": 8101}', "ready port=8101"),
        ('{"event": "down", "level": "error", "timestamp": "t"}', "ERROR down"),
        ("INFO: plain", "INFO: plain"),
        ("{broken", "{broken"),
        ('{"no": "event"}', '{"no": "event"}'),
        ("{}", "{}"),
    ],
    ids=["fields", "level", "plain", "broken JSON", "other JSON", "empty object"],
)
def test_a_json_log_line_is_made_readable_and_others_are_left(line: str, readable: str) -> None:
    assert readable_line(line) == readable
