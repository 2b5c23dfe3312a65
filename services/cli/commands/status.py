"""`theraloop status`: does it run, and does every part answer?"""

import typer
from pydantic import BaseModel, ConfigDict, Field

from services.cli import options
from services.cli.context import context_of
from services.cli.exits import ExitCode
from services.cli.views.readiness import readiness_view
from services.client import Service, TheraloopClient
from services.client.errors import ClientError
from services.contracts.readiness import Readiness
from services.deadline import Deadline

_PATIENCE_S = 5.0


class ServiceStatus(BaseModel):
    """How one service is."""

    model_config = ConfigDict(frozen=True)

    service: Service = Field(description="Which one.")
    url: str = Field(description="Where it was asked.")
    readiness: Readiness | None = Field(description="What it answered; null when it did not.")
    detail: str = Field(description="Why it did not answer; else empty.")


class Status(BaseModel):
    """How the stack is."""

    model_config = ConfigDict(frozen=True)

    services: tuple[ServiceStatus, ...] = Field(description="Judge and agent.")


def status(
    ctx: typer.Context,
    as_json: options.AsJson = False,
    judge_url: options.JudgeUrl = None,
    agent_url: options.AgentUrl = None,
) -> None:
    """Show whether the stack's parts answer."""
    context = context_of(ctx)
    config = context.config(judge_url, agent_url)
    with context.client(judge_url, agent_url) as client:
        found = Status(
            services=(
                _ask(client, Service.JUDGE, config.judge_url),
                _ask(client, Service.AGENT, config.agent_url),
            )
        )
    if as_json:
        context.terminal.data(found.model_dump_json(indent=2))
    else:
        for one in found.services:
            context.terminal.show(readiness_view(one.service.value, one.url, one.readiness, one.detail))
    if all(one.readiness is None for one in found.services):
        context.terminal.error("no stack answers; `theraloop up` starts one here")
        raise typer.Exit(ExitCode.UNREACHABLE)
    if any(one.readiness is None or one.readiness.status == "unready" for one in found.services):
        raise typer.Exit(ExitCode.BUSY)


def _ask(client: TheraloopClient, service: Service, url: str) -> ServiceStatus:
    try:
        readiness = client.ready(service, deadline=Deadline.after(_PATIENCE_S))
    except ClientError as error:
        return ServiceStatus(service=service, url=url, readiness=None, detail=error.detail)
    return ServiceStatus(service=service, url=url, readiness=readiness, detail="")
