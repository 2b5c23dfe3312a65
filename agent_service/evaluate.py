"""`python -m agent_service.evaluate`: drafts through the loop and its ablations, judged by another judge; a report.

A composition root beside `app.py`, over the same settings (THERALOOP_AGENT_…): engine and steering judge are found as
the service finds them. Nothing is cached between variants, so that times and tokens are a first request's. No text is
logged; records and report hold texts, as the drafts are public data.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from agent_service.app import build_pipeline
from agent_service.errors import AgentError, DataInvalid
from agent_service.evaluation.records import Record
from agent_service.evaluation.report import EvaluationReport, write_report
from agent_service.evaluation.runner import EvaluationRunner
from agent_service.evaluation.statistics import Group
from agent_service.evaluation.unjudged import Unjudged
from agent_service.evaluation.usage import CountingLLM
from agent_service.evaluation.variants import PLANS, Variant
from agent_service.judge_client import HttpJudge
from agent_service.metrics import RefineMetrics
from agent_service.pipeline import RefinePipeline
from agent_service.ports import Judge
from agent_service.roles.speaker import Speaker
from agent_service.settings import AgentSettings
from services.cache.memo import ComputeOnce
from services.cache.memory import InProcessCache
from services.cache.sealed import SealedCache
from services.client import AsyncTheraloopClient, ClientConfig
from services.contracts.drafts import Draft
from services.errors import ServiceError
from services.llm.port import LLM, Adapters
from services.llm.vllm import VLLMClient
from services.roles.adapters import role_names
from services.roles.errors import RoleError
from services.settings import load_settings
from services.telemetry.metrics import PlatformMetrics

_CACHE_BYTES: Final = 1 << 20
_RECORDS: Final = "records.jsonl"


def main(
    drafts: Annotated[
        list[Path],
        typer.Option(help="Drafts (JSON lines), as `python -m trainer drafts` writes them; several: again, each once."),
    ],
    verdict: Annotated[str, typer.Option(help="Base URL of the judge that decides; it must not be the steering one.")],
    out: Annotated[Path, typer.Option(help="Folder of records and report; an evaluation that stopped goes on.")],
    variant: Annotated[list[Variant] | None, typer.Option(help="Only these; default: all.")] = None,
    roles: Annotated[Path | None, typer.Option(help="Released role adapters that the engine serves.")] = None,
    at_most: Annotated[
        float | None, typer.Option(min=1, max=5, help="Only drafts that the verdict judge puts at or below (levels).")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many drafts.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=5, help="Rounds of a refinement at most.")] = 2,
    candidates: Annotated[int, typer.Option(min=1, max=8, help="Rewrites a round.")] = 4,
    clients: Annotated[int, typer.Option(min=1, max=64, help="Drafts in work at once.")] = 4,
    deadline_s: Annotated[float, typer.Option(min=1, max=120, help="Seconds for one refinement.")] = 120,
) -> None:
    """Refine held-out drafts with the full loop and its ablations, and report what another judge says."""
    console = Console(stderr=True)
    settings = load_settings(AgentSettings)
    try:
        if roles is not None:
            settings = _with_roles(settings, roles)
        chosen = Chosen(read_drafts(drafts), at_most, limit)
        out.mkdir(parents=True, exist_ok=True)
        wanted = tuple(variant or Variant)
        shape = {"rounds": rounds, "candidates": candidates, "clients": clients, "deadline_ms": int(deadline_s * 1000)}
        report = asyncio.run(_evaluate(settings, verdict, chosen, wanted, out, shape, console))
    except (AgentError, RoleError) as error:
        sys.exit(f"error: {error}")
    except ExceptionGroup as group:
        known, unknown = group.split(ServiceError)
        if known is None or unknown is not None:
            raise
        sys.exit(f"error: {known.exceptions[0]}; run again to go on")
    _show(report, out)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which drafts to refine: the first `limit` that the verdict judge puts at or below `at_most`."""

    drafts: Sequence[Draft]
    at_most: float | None
    limit: int | None

    async def by(self, runner: EvaluationRunner) -> Sequence[Draft]:
        """Return them, asking the runner's verdict judge where that is wanted."""
        within = self.drafts if self.at_most is None else await runner.at_most(self.drafts, self.at_most)
        return within[: self.limit]


def read_drafts(paths: Sequence[Path]) -> list[Draft]:
    """Return the drafts of the files in their order; one that several hold counts once, as the first has it.

    Raises:
        DataInvalid: one cannot be read, or a line is no draft.
    """
    drafts: dict[str, Draft] = {}
    for path in paths:
        try:
            found = [Draft.model_validate_json(line) for line in path.read_bytes().split(b"\n") if line]
        except (OSError, ValidationError) as error:
            raise DataInvalid(f"{path}: not the drafts that `python -m trainer drafts` writes") from error
        for draft in found:
            drafts.setdefault(draft.id, draft)
    return list(drafts.values())


def build_pipelines(
    settings: AgentSettings, variants: Sequence[Variant], *, judge: Judge, engine: LLM, listing: Adapters
) -> dict[Variant, RefinePipeline]:
    """Return one pipeline a variant, none of which shares what it remembers with another."""
    pipelines = {}
    for variant in variants:
        plan = PLANS[variant]
        memo = ComputeOnce(SealedCache(InProcessCache(_CACHE_BYTES), None), settings.cache.ttl_s)
        pipelines[variant] = build_pipeline(
            settings,
            judge=judge if plan.judged else Unjudged(),
            speaker=Speaker(CountingLLM(engine), listing, memo),
            memo=memo,
            metrics=RefineMetrics(CollectorRegistry()),
            silent=plan.silent,
        )
    return pipelines


async def _evaluate(
    settings: AgentSettings,
    verdict: str,
    chosen: Chosen,
    variants: Sequence[Variant],
    out: Path,
    shape: dict[str, int],
    console: Console,
) -> EvaluationReport:
    steering = str(settings.judge.url).rstrip("/")
    if verdict.rstrip("/") == steering:
        raise DataInvalid(f"{verdict} steers the loop; its own verdict proves nothing: give another judge")
    key = settings.judge.api_key
    async with (
        httpx.AsyncClient() as http,
        AsyncTheraloopClient(ClientConfig(judge_url=steering, api_key=key)) as judge,
        AsyncTheraloopClient(ClientConfig(judge_url=verdict, api_key=key)) as other,
    ):
        engine = VLLMClient(settings.engine, http, PlatformMetrics(CollectorRegistry()))
        pipelines = build_pipelines(settings, variants, judge=HttpJudge(judge), engine=engine, listing=engine)
        runner = EvaluationRunner(pipelines, HttpJudge(other), **shape)
        records = await _with_progress(runner, await chosen.by(runner), out / _RECORDS, console)
    _refuse_one_judge(records)
    return write_report(records, out)


async def _with_progress(
    runner: EvaluationRunner, drafts: Sequence[Draft], path: Path, console: Console
) -> list[Record]:
    columns = (TextColumn("refining"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("refining", total=None)

        def done(finished: int, total: int, _: Record) -> None:
            progress.update(task, completed=finished, total=total)

        return await runner.run(drafts, path, done)


def _refuse_one_judge(records: Sequence[Record]) -> None:
    """Refuse figures whose verdicts came from the very checkpoint that steered, behind another address."""
    both = {record.verdict_by for record in records} & {record.steered_by for record in records}
    if both:
        raise DataInvalid(f"{', '.join(map(str, both))} steered and judged; give a judge of another checkpoint")


def _with_roles(settings: AgentSettings, folder: Path) -> AgentSettings:
    """Return the settings with the released adapters' names in them."""
    names, style = role_names(folder)
    played = {f"{role}_model": name for role, name in names.items()} | {f"{role}_style": style for role in names}
    return settings.model_copy(update={"roles": settings.roles.model_copy(update=played)})


def _show(report: EvaluationReport, out: Path) -> None:
    for row in report.rows:
        if row.group in (Group.ALL, Group.LOW_BY_RATERS) and row.gain.value is not None:
            line = f"{row.variant:14} {row.group:14} n={row.gain.n:4} gain {row.gain.value:+.2f}"
            typer.echo(f"{line} ({row.gain.low:+.2f} to {row.gain.high:+.2f})")
    typer.echo(f"written: {out / 'report.html'}, {out / 'report.json'} (they hold texts of the public data)")


if __name__ == "__main__":
    typer.run(main)
