"""The judge's checkpoints in a table, and one of them with its latest steps."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.cli.terminal import plain
from services.contracts.checkpoints import CheckpointList, CheckpointState, CheckpointView

_COLOURS = {CheckpointState.ACTIVE: "bold green", CheckpointState.REJECTED: "red", CheckpointState.RETIRED: "dim"}


def checkpoints_view(found: CheckpointList) -> RenderableType:
    """Return all checkpoints, the replicas and the latest changes."""
    generation = found.pointer.generation if found.pointer else 0
    where = f"pointer in {found.pointer_store}, generation {generation}"
    if not found.pointer_reachable:
        where += " (not reachable now: this replica stays put)"
    head = Text.assemble(("serving ", "bold"), plain(found.active or "nothing yet"), f"  {where}")
    parts: list[RenderableType] = [head, _table(found.checkpoints)]
    if found.registry_trouble:
        parts.append(Text(plain(f"remote registry: {found.registry_trouble}"), style="red"))
    for replica in found.replicas:
        told = replica.trouble or f"serves {replica.serving or 'nothing'}"
        parts.append(Text(plain(f"replica {replica.replica}: {told}"), style="red" if replica.trouble else ""))
    for entry in found.audit:
        forced = " by force" if entry.forced else ""
        parts.append(Text(plain(f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.action} {entry.version} by {entry.by}{forced}")))
    return Group(*parts)


def checkpoint_view(one: CheckpointView) -> RenderableType:
    """Return one checkpoint with its latest steps."""
    steps = [
        Text(plain(f"  {step.at:%H:%M:%S} {step.to}" + (f": {step.detail or step.reason}" if step.reason else "")))
        for step in one.history
    ]
    return Group(_table((one,)), *steps)


def _table(checkpoints: tuple[CheckpointView, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("version", "state", "promotable", "lowest ICC(A,1)", "why"):
        table.add_column(heading, overflow="fold")
    for one in checkpoints:
        lowest = min(one.metrics.items(), key=lambda item: item[1], default=None)
        table.add_row(
            plain(one.version),
            Text(one.state, style=_COLOURS.get(one.state, "")),
            {None: "", True: "yes", False: "no"}[one.promotable],
            f"{lowest[1]:.2f} ({lowest[0]})" if lowest else "",
            plain(one.detail or one.not_promotable_because or one.reason or ""),
        )
    return table
