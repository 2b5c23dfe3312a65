"""Runs drafts through a variant and has the verdict judge score before and after; each result is kept at once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent_service.evaluation.records import Record, Scores, read_records, repair
from agent_service.evaluation.usage import counted
from agent_service.evaluation.variants import PLANS, Variant
from agent_service.pipeline import RefinePipeline
from agent_service.ports import Judge, JudgeFailure
from services.contracts.drafts import Draft
from services.contracts.evaluate import Evaluation
from services.contracts.refine import RefineEvent, Refinement, RefineRequest
from services.deadline import Deadline

Done = Callable[[int, int, Record], None]
"""Told how many of how many are finished, and the one that just was."""


class EvaluationRunner:
    """Refines drafts and keeps what came of them."""

    def __init__(
        self,
        pipelines: Mapping[Variant, RefinePipeline],
        verdict: Judge,
        *,
        rounds: int,
        candidates: int,
        deadline_ms: int,
        clients: int,
    ) -> None:
        """Take one pipeline a variant and the judge that decides; `clients` drafts are in work at once."""
        self._pipelines = pipelines
        self._verdict = verdict
        self._rounds = rounds
        self._candidates = candidates
        self._deadline_ms = deadline_ms
        self._clients = clients

    async def at_most(self, drafts: Sequence[Draft], limit: float) -> list[Draft]:
        """Return the drafts that the verdict judge puts at or below `limit` overall, in their order.

        Raises:
            ServiceError: the verdict judge does not answer.
        """
        busy = asyncio.Semaphore(self._clients)

        async def is_within(draft: Draft) -> bool:
            async with busy:
                verdict, _ = await self._judged(draft, draft.response)
            return verdict.overall <= limit

        async with asyncio.TaskGroup() as group:
            asked = [(draft, group.create_task(is_within(draft))) for draft in drafts]
        return [draft for draft, task in asked if task.result()]

    async def run(self, drafts: Sequence[Draft], path: Path, done: Done) -> list[Record]:
        """Return the records of all drafts under all variants, those that `path` holds already included.

        Drafts come first, variants second: what is finished at any time is comparable.

        Raises:
            ServiceError: the verdict judge does not answer; what is finished is kept.
        """
        records = read_records(path)
        repair(path, records)
        finished = {record.key for record in records}
        todo = [(v, d) for d in drafts for v in self._pipelines if (v, d.id) not in finished]
        queue = iter(todo)

        async def work() -> None:
            for variant, draft in queue:
                record = await self._one(variant, draft)
                with path.open("a", encoding="utf-8") as file:
                    file.write(record.model_dump_json() + "\n")
                records.append(record)
                done(len(records) - len(finished), len(todo), record)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(work())
        return records

    async def _one(self, variant: Variant, draft: Draft) -> Record:
        plan = PLANS[variant]
        request = RefineRequest(
            context=draft.context,
            response=draft.response,
            max_rounds=plan.rounds or self._rounds,
            candidates=plan.candidates or self._candidates,
            deadline_ms=self._deadline_ms,
            trace=True,
        )
        deadline = Deadline.after(self._deadline_ms / 1000)
        began_s = time.perf_counter()
        with counted() as tokens:
            result = await self._pipelines[variant].refine(request, deadline, _unheard)
        seconds = time.perf_counter() - began_s
        before, after = await self._judged(draft, result.response)
        return _record(variant, draft, result, before, after, seconds=seconds, tokens=dict(tokens))

    async def _judged(self, draft: Draft, response: str) -> tuple[Evaluation, Evaluation]:
        """Return the verdicts on the draft and on what would be sent; one verdict where these are the same."""
        texts = [draft.response] if response == draft.response else [draft.response, response]
        verdicts = await self._verdict.evaluate_many(draft.context, texts, Deadline.after(self._deadline_ms / 1000))
        scored = []
        for verdict in verdicts:
            if isinstance(verdict, JudgeFailure):
                raise verdict.error
            scored.append(verdict)
        return scored[0], scored[-1]


def _unheard(_: RefineEvent) -> None:
    """Tell nobody of stages."""


def _record(
    variant: Variant,
    draft: Draft,
    result: Refinement,
    before: Evaluation,
    after: Evaluation,
    *,
    seconds: float,
    tokens: Mapping[str, int],
) -> Record:
    stage_ms: Counter[str] = Counter()
    for one_round in result.rounds:
        stage_ms.update({stage: round(ms) for stage, ms in one_round.stage_ms.items()})
    candidates = [candidate for one_round in result.rounds for candidate in one_round.candidates]
    first = result.rounds[0] if result.rounds else None
    return Record(
        variant=variant,
        draft_id=draft.id,
        question=draft.question,
        band=draft.band,
        context=draft.context,
        draft=draft.response,
        response=result.response,
        outcome=result.outcome,
        reason=result.reason,
        before=Scores.of(before),
        after=Scores.of(after),
        steered_before=result.before.overall if result.before else None,
        steered_after=result.after.overall if result.after else None,
        steered_by=result.checkpoint,
        verdict_by=before.checkpoint,
        critique=first.critique if first else (),
        plan=first.plan if first else (),
        rounds=len(result.rounds),
        seconds=seconds,
        stage_ms=stage_ms,
        tokens=tokens,
        notes=tuple(note for one_round in result.rounds for note in one_round.notes),
        refusals=tuple(candidate.refused_because for candidate in candidates if candidate.refused_because),
    )
