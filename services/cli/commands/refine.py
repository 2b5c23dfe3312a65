"""`theraloop refine`: one draft through the loop."""

from typing import Annotated

import typer

from services.cli import options
from services.cli.context import context_of
from services.cli.inputs import TextSources, build
from services.cli.terminal import Terminal
from services.cli.views.refinement import refinement_view, stage_text
from services.client import TheraloopClient
from services.client.errors import MalformedAnswer
from services.contracts.refine import Refinement, RefineRequest


def refine(
    ctx: typer.Context,
    response: Annotated[str | None, typer.Argument(help="The draft; none: standard input.")] = None,
    said: options.Context = None,
    context_file: options.ContextFile = None,
    response_file: options.ResponseFile = None,
    max_rounds: Annotated[int | None, typer.Option(help="Rounds at most, 1 to 5.")] = None,
    candidates: Annotated[int | None, typer.Option(help="Rewrites per round, 1 to 8.")] = None,
    deadline_ms: Annotated[int | None, typer.Option(help="Milliseconds by which the answer comes.")] = None,
    region: Annotated[str | None, typer.Option(help="Country of the person for crisis resources, as in GB.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show every round.")] = False,
    as_json: options.AsJson = False,
    agent_url: options.AgentUrl = None,
) -> None:
    """Judge a draft and rewrite it where it is weak."""
    context = context_of(ctx)
    sources = TextSources(response=response, response_file=response_file, context=said, context_file=context_file)
    chosen: dict[str, object] = {
        "max_rounds": max_rounds,
        "candidates": candidates,
        "deadline_ms": deadline_ms,
        "region": region,
        "trace": trace or None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    request = build(RefineRequest, sources.fields(context.stdin) | given)
    with context.client(None, agent_url) as client:
        refinement = _follow(client, request, context.terminal)
    if as_json:
        context.terminal.data(refinement.model_dump_json(indent=2))
    else:
        context.terminal.show(refinement_view(refinement, request.response))


def _follow(client: TheraloopClient, request: RefineRequest, terminal: Terminal) -> Refinement:
    with terminal.waiting("judging the draft") as tell:
        for event in client.refine_events(request):
            if event.refinement is not None:
                return event.refinement
            tell(stage_text(event))
    raise MalformedAnswer("the stream ended before the refinement was done; send the request again")
