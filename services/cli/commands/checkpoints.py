"""`theraloop checkpoints`: which judge checkpoints there are, which serves, and the changes an operator can make."""

from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import RenderableType

from services.cli import options
from services.cli.context import CliContext, context_of
from services.cli.views.checkpoints import checkpoint_view, checkpoints_view

app = typer.Typer(name="checkpoints", help="The judge's checkpoints: list, activate, roll back, retire.")
Version = Annotated[str, typer.Argument(help="Name of the checkpoint.")]


@app.command("list")
def list_checkpoints(ctx: typer.Context, as_json: options.AsJson = False, judge_url: options.JudgeUrl = None) -> None:
    """Show all checkpoints, what serves where, and the latest changes."""
    context = context_of(ctx)
    with context.client(judge_url, None) as client:
        found = client.checkpoints()
    _answer(context, found, checkpoints_view(found), as_json)


@app.command()
def activate(
    ctx: typer.Context,
    version: Version,
    force: Annotated[bool, typer.Option("--force", help="Also one that is not promotable.")] = False,
    as_json: options.AsJson = False,
    judge_url: options.JudgeUrl = None,
) -> None:
    """Verify a checkpoint, load it, try it on its golden cases, and switch to it."""
    context = context_of(ctx)
    with context.terminal.waiting(f"activating {version}"), context.client(judge_url, None) as client:
        now = client.activate_checkpoint(version, force=force)
    _answer(context, now, checkpoint_view(now), as_json)


@app.command()
def rollback(
    ctx: typer.Context,
    from_version: Annotated[
        str | None, typer.Option("--from", help="The version to leave; if another serves by now, nothing happens.")
    ] = None,
    as_json: options.AsJson = False,
    judge_url: options.JudgeUrl = None,
) -> None:
    """Go back to the checkpoint that served before."""
    context = context_of(ctx)
    with context.terminal.waiting("rolling back"), context.client(judge_url, None) as client:
        now = client.roll_back_checkpoint(from_version=from_version)
    _answer(context, now, checkpoints_view(now), as_json)


@app.command()
def retire(
    ctx: typer.Context, version: Version, as_json: options.AsJson = False, judge_url: options.JudgeUrl = None
) -> None:
    """Take a checkpoint out of what may be promoted."""
    context = context_of(ctx)
    with context.client(judge_url, None) as client:
        now = client.retire_checkpoint(version)
    _answer(context, now, checkpoint_view(now), as_json)


def _answer(context: CliContext, answer: BaseModel, view: RenderableType, as_json: bool) -> None:
    if as_json:
        context.terminal.data(answer.model_dump_json(indent=2))
    else:
        context.terminal.show(view)
