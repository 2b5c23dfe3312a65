"""A local stack as it starts and runs: where its parts are, and what they say."""

import json
from typing import TYPE_CHECKING, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from services.cli.terminal import plain
from services.engine.progress import Progress
from services.stack.events import Notice, PartCrashed, PartLog, PartReady, PartStarting, PartStopped, StackEvent

if TYPE_CHECKING:
    from services.stack.state import RunningStack

_PREFIX_WIDTH: Final = 7
_COLOURS: Final = {"engine": "magenta", "redis": "red", "judge": "cyan", "agent": "green", "stack": "blue"}
_SHOWN_APART: Final = frozenset({"event", "level", "timestamp", "service"})


def addresses_view(stack: "RunningStack") -> RenderableType:
    """Return where the parts of a running stack are."""
    table = Table.grid(padding=(0, 2))
    table.add_row("judge", stack.judge_url, f"API page {stack.judge_url}/docs, metrics {stack.judge_url}/metrics")
    table.add_row("agent", stack.agent_url, f"API page {stack.agent_url}/docs, metrics {stack.agent_url}/metrics")
    table.add_row("engine", stack.engine_url, f"vLLM serving {stack.model}")
    cache = "each service in its own process" if stack.redis_port is None else f"Redis on port {stack.redis_port}"
    table.add_row("cache", "", cache)
    return table


def event_line(event: StackEvent) -> Text:
    """Return one line that tells of the event, prefixed by the part it comes from."""
    part = "stack" if isinstance(event, Progress | Notice) else event.part
    return Text.assemble((f"{part:<{_PREFIX_WIDTH}}| ", _COLOURS.get(part, "white")), _told(event))


def _told(event: StackEvent) -> Text:
    match event:
        case Progress():
            counted = f" ({event.done} of {event.total})" if event.total else ""
            text = Text(f"{event.step}: {plain(event.detail)}{counted}")
        case Notice():
            text = Text(plain(event.text), style="yellow")
        case PartStarting():
            text = Text("starting")
        case PartReady():
            text = Text(f"ready after {event.after_s:.1f} s", style="green")
        case PartLog():
            text = _readable(event.line)
        case PartCrashed():
            told = f"ended with status {event.exit_status}; starts again in {event.restart_in_s:.0f} s"
            text = Text(told, style="bold red")
        case PartStopped():
            text = Text("stopped")
    return text


def _readable(line: str) -> Text:
    """Return a part's log line: the services' JSON as time, level, event and fields, any other as it is."""
    try:
        record = json.loads(line)
    except ValueError:
        return Text(plain(line))
    if not isinstance(record, dict) or "event" not in record:
        return Text(plain(line))
    level = str(record.get("level", ""))
    style = {"warning": "yellow", "error": "bold red", "critical": "bold red"}.get(level, "")
    fields = "  ".join(f"{key}={value}" for key, value in record.items() if key not in _SHOWN_APART)
    shown = " ".join(part for part in (level, str(record["event"]), fields) if part)
    return Text(plain(shown), style=style)
