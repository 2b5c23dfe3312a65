"""What the parts of a service answered just now."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.cli.terminal import plain
from services.contracts.readiness import Readiness


def readiness_view(name: str, url: str, readiness: Readiness | None, detail: str) -> RenderableType:
    """Return how one service is; None: it did not answer, for the reason in `detail`."""
    if readiness is None:
        return Text.assemble((name, "bold"), f"  {url}  ", ("does not answer", "bold red"), f"\n  {plain(detail)}")
    colour = {"ready": "green", "degraded": "yellow", "unready": "red"}[readiness.status]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("part", "", "ms", "detail"):
        table.add_column(heading, justify="right" if heading == "ms" else "left")
    for part in readiness.parts:
        state = Text("ok", style="green") if part.ok else Text("down", style="red" if part.required else "yellow")
        table.add_row(plain(part.name), state, f"{part.ms:.0f}", plain(part.detail))
    return Group(Text.assemble((name, "bold"), f"  {url}  ", (readiness.status, f"bold {colour}")), table)
