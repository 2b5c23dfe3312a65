"""Shows a stack's events on a terminal or in a log file: one prefixed line each, colours only on a terminal.

The services log JSON; here each such line becomes its event name and its fields, so that a person can read along.
"""

import json
from typing import assert_never

from rich.console import Console
from rich.text import Text

from services.engine.progress import Progress
from services.stack.events import (
    Notice,
    PartCrashed,
    PartLog,
    PartReady,
    PartStarting,
    PartStopped,
    StackEvent,
)

_PREFIX_WIDTH = 7
_STYLES = {"engine": "cyan", "redis": "magenta", "judge": "green", "agent": "blue"}
_ENVELOPE_KEYS = frozenset({"event", "level", "logger", "service", "timestamp"})


class ConsoleReporter:
    """An `OnEvent` that writes to a rich console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, event: StackEvent) -> None:
        """Write one event as one line."""
        match event:
            case PartLog(part, line):
                self._write(part, readable_line(line))
            case PartStarting(part):
                self._write(part, "starting", "bold")
            case PartReady(part, after_s):
                self._write(part, f"ready after {after_s:.1f} s", "bold")
            case PartCrashed(part, exit_status, restart_in_s):
                self._write(
                    part, f"ended with status {exit_status}; starting again in {restart_in_s:.0f} s", "bold red"
                )
            case PartStopped(part):
                self._write(part, "stopped", "bold")
            case Notice(text):
                self._write("stack", text, "yellow")
            case Progress(step, detail, done, total):
                self._write("model", f"{step}: {detail}" + (f" [{done}/{total}]" if total else ""))
            case _:
                assert_never(event)

    def _write(self, prefix: str, message: str, style: str = "") -> None:
        line = Text(f"{prefix:<{_PREFIX_WIDTH}}", style=_STYLES.get(prefix, "white"))
        line.append("| ", style="dim").append(message, style=style)
        self._console.print(line, soft_wrap=True, highlight=False)


def readable_line(line: str) -> str:
    """Return a JSON log line as `event key=value …`, any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict) or "event" not in record:
        return line
    level = str(record.get("level", "info"))
    words = [] if level == "info" else [level.upper()]
    words.append(str(record["event"]))
    words += [f"{key}={value}" for key, value in record.items() if key not in _ENVELOPE_KEYS]
    return " ".join(words)
