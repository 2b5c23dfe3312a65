"""`theraloop evaluate`: one reply, or a file of them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli import options
from services.cli.context import CliContext, context_of
from services.cli.errors import UsageProblem
from services.cli.exits import ExitCode
from services.cli.inputs import TextSources, batches, build
from services.cli.views.scores import scores_view
from services.client import TheraloopClient
from services.contracts.evaluate import EvaluateRequest


def evaluate(
    ctx: typer.Context,
    response: Annotated[str | None, typer.Argument(help="The reply to judge; none: standard input.")] = None,
    said: options.Context = None,
    context_file: options.ContextFile = None,
    response_file: options.ResponseFile = None,
    rationale: Annotated[bool, typer.Option("--rationale", help="Also explain the scores in words (slower).")] = False,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Judge every line of a JSON Lines file (- is standard input); NDJSON out."),
    ] = None,
    as_json: options.AsJson = False,
    judge_url: options.JudgeUrl = None,
) -> None:
    """Judge a reply on the seven dimensions."""
    context = context_of(ctx)
    sources = TextSources(response=response, response_file=response_file, context=said, context_file=context_file)
    with context.client(judge_url, None) as client:
        if batch is not None:
            if sources != TextSources(response=None, response_file=None, context=None, context_file=None) or rationale:
                raise UsageProblem("--batch takes whole requests from its file: give no other texts and no --rationale")
            _judge_file(context, client, batch)
            return
        fields = sources.fields(context.stdin)
        if rationale:
            fields["rationale"] = True
        request = build(EvaluateRequest, fields)
        with context.terminal.waiting("judging"):
            evaluation = client.evaluate(request)
    if as_json:
        context.terminal.data(evaluation.model_dump_json(indent=2))
    else:
        context.terminal.show(scores_view(evaluation))


def _judge_file(context: CliContext, client: TheraloopClient, file: Path) -> None:
    """Write one line of NDJSON an item; `index` counts the file's items from 0."""
    groups = batches(file, context.stdin)
    total = sum(map(len, groups))
    first, failed = 0, 0
    with _progress(context) as progress:
        task = progress.add_task("judging", total=total)
        for group in groups:
            for line in client.evaluate_batch(group):
                failed += line.problem is not None
                context.terminal.data(line.model_copy(update={"index": first + line.index}).model_dump_json())
                progress.advance(task)
            first += len(group)
    if failed:
        context.terminal.error(f"{failed} of {total} items were not judged; their lines say why")
        raise typer.Exit(ExitCode.INCOMPLETE)


def _progress(context: CliContext) -> Progress:
    """Return a progress bar on standard error that shows on terminals only."""
    console = context.terminal.err
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=False,
    )
