"""One round: Critic, Coach, Therapist, the text checks, the judge, the gate. Returns what happened; raises nothing.

Nothing that a role or the judge does wrong ends a refinement with an error: it is noted, and what we hold stays.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from agent_service.budget import ROUND_STAGES, Budget, Stage, StageTimes
from agent_service.gate import GateRules, ScoreTable, decide
from agent_service.metrics import RefineMetrics
from agent_service.policy import Stop
from agent_service.ports import Emit, Judge, JudgeFailure
from agent_service.roles.coach import Coach
from agent_service.roles.critic import Critic
from agent_service.roles.silent import SilentCoach, SilentCritic
from agent_service.roles.therapist import NoRewrite, Rewrite, Therapist, seed_of
from services.contracts.conversation import Turn
from services.contracts.dimensions import Dimension
from services.contracts.evaluate import Evaluation
from services.contracts.refine import CandidateTrace, RefineEvent, RoundTrace
from services.errors import DeadlineExceeded, InvalidInput
from services.roles.prompts import RoleInput
from services.telemetry.tracing import UNTRACED, Attribute, Tracer
from services.text_checks.kept import says_it, to_keep
from services.text_checks.refusals import Rewriting, TextChecks

_DUPLICATE = "duplicate"
_NOT_JUDGED = "not_judged"
_NOT_ALL_JUDGED = "candidates_not_judged"
_SAFETY_STEP = "safety_step_added"
_CHANGES_BESIDE_SAFETY = 2
"""The small Therapist follows about three changes."""


@dataclass(frozen=True, slots=True)
class Held:
    """The best reply so far with its judgment."""

    response: str
    evaluation: Evaluation

    @property
    def table(self) -> ScoreTable:
        """Its scores."""
        return ScoreTable.of(self.evaluation)


@dataclass(frozen=True, slots=True)
class Case:
    """What a refinement is about.

    Attributes:
        turns: the conversation. draft: what came in. to_keep: the draft, or nothing where it is unsafe: what that tells
            a person to do is not to be kept. rules: thresholds, margin and floor of this request.
        candidates: rewrites per round. resources: the region's crisis resources as text.
        to_say: what a person in danger of their life is to be told; None for anybody else. emit: told of each stage.
    """

    turns: tuple[Turn, ...]
    draft: str
    to_keep: str
    rules: GateRules
    candidates: int
    resources: str
    to_say: str | None
    emit: Emit


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round led to: its trace, what is held now, and why the loop must end, if it must."""

    trace: RoundTrace
    held: Held
    stop: Stop | None


@dataclass(slots=True)
class _Attempt:
    """One candidate on its way through the round."""

    response: str
    refused_because: str | None = None
    evaluation: Evaluation | None = None
    accepted: bool = False

    def trace(self) -> CandidateTrace:
        table = ScoreTable.of(self.evaluation) if self.evaluation else None
        return CandidateTrace(
            response=self.response,
            scores=table.scores if table else None,
            overall=table.overall if table else None,
            accepted=self.accepted,
            refused_because=self.refused_because,
        )


@dataclass(slots=True)
class _Log:
    """What a round notes on its way."""

    stage_ms: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class RoundRunner:
    """Runs rounds."""

    def __init__(
        self,
        *,
        critic: Critic | SilentCritic,
        coach: Coach | SilentCoach,
        therapist: Therapist,
        judge: Judge,
        checks: TextChecks,
        times: StageTimes,
        metrics: RefineMetrics,
        max_aims: int,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._critic = critic
        self._coach = coach
        self._therapist = therapist
        self._judge = judge
        self._checks = checks
        self._times = times
        self._metrics = metrics
        self._max_aims = max_aims
        self._tracer = tracer

    async def run(self, case: Case, held: Held, number: int, seen: set[str], budget: Budget) -> RoundResult:
        """Run round `number` (from 1). `seen` holds every reply judged or refused before, and grows."""
        with self._tracer.span("round", {Attribute.ROUND: number}):
            return await self._run(case, held, number, seen, budget)

    async def _run(self, case: Case, held: Held, number: int, seen: set[str], budget: Budget) -> RoundResult:
        log = _Log()
        aims = _aims(case.rules, held)[: self._max_aims]
        told = RoleInput(case.turns, held.response, held.table.scores, aims, to_keep(case.to_keep))
        seed = seed_of([str(number), held.response, *(turn.content for turn in case.turns)])
        async with self._timed(Stage.CRITIC, log):
            critique = await self._critic.review(told, seed, budget.for_stage(Stage.CRITIC, ROUND_STAGES[1:]))
        case.emit(RefineEvent(event="critique", round=number, critique=critique.said))
        async with self._timed(Stage.COACH, log):
            plan = await self._coach.plan(told, critique.told, seed, budget.for_stage(Stage.COACH, ROUND_STAGES[2:]))
        case.emit(RefineEvent(event="plan", round=number, plan=plan.said))
        log.notes += [*critique.notes, *plan.notes]
        plans = [_with_safety_planned(changes, case.to_say) for changes in plan.plans]
        async with self._timed(Stage.THERAPIST, log):
            written = await self._therapist.rewrite(
                told, plans, case.candidates, seed, budget.for_stage(Stage.THERAPIST, ROUND_STAGES[3:])
            )
        attempts = self._sorted_out(case, held, written, seen, log)
        case.emit(RefineEvent(event="candidates", round=number, candidates=_traces(attempts)))
        stop = _engine_stop(written) or await self._judged(case, attempts, budget, log)
        with self._tracer.span("gate", {Attribute.CANDIDATES: len(attempts)}) as span:
            held = _gated(case.rules, held, attempts)
            span.set({Attribute.ACCEPTED: any(attempt.accepted for attempt in attempts)})
        case.emit(RefineEvent(event="gated", round=number, candidates=_traces(attempts)))
        self._metrics.observe_refusals(item.refused_because for item in attempts if item.refused_because)
        self._metrics.observe_notes(log.notes)
        trace = RoundTrace(
            critique=critique.said,
            plan=plan.said,
            candidates=_traces(attempts),
            stage_ms=log.stage_ms,
            # Not among the notes that are counted: those say what went wrong.
            notes=(*log.notes, *([_SAFETY_STEP] if case.to_say is not None else [])),
        )
        return RoundResult(trace, held, stop)

    def _sorted_out(
        self, case: Case, held: Held, written: Sequence[Rewrite | NoRewrite], seen: set[str], log: _Log
    ) -> list[_Attempt]:
        """Turn what was written into attempts: repeats and what the text checks refuse are out before the judge."""
        person = "\n".join(turn.content for turn in case.turns if turn.role == "user")
        latest = next((turn.content for turn in reversed(case.turns) if turn.role == "user"), "")
        seen.add(_folded(held.response))
        attempts = []
        for item in written:
            if isinstance(item, NoRewrite):
                log.notes.append(f"therapist_{item.unusable or _failure(item)}")
                continue
            attempt = _Attempt(_with_safety_said(case, item.text))
            if _folded(attempt.response) in seen:
                attempt.refused_because = _DUPLICATE
            else:
                # What the model wrote is checked, not what was added: a good last sentence would hide a broken one.
                attempt.refused_because = self._checks.refusal(
                    Rewriting(person, latest, case.draft, item.text, case.to_keep, case.resources)
                )
            seen.add(_folded(attempt.response))
            attempts.append(attempt)
        return attempts

    async def _judged(self, case: Case, attempts: Sequence[_Attempt], budget: Budget, log: _Log) -> Stop | None:
        """Have every attempt judged that is not refused yet; return why the loop must end when none could be."""
        fresh = [attempt for attempt in attempts if attempt.refused_because is None]
        if not fresh:
            return None
        deadline = budget.for_stage(Stage.JUDGE_CANDIDATES, ())
        async with self._timed(Stage.JUDGE_CANDIDATES, log):
            judgments = await self._judge.evaluate_many(case.turns, [item.response for item in fresh], deadline)
        failures = [judgment for judgment in judgments if isinstance(judgment, JudgeFailure)]
        for attempt, judgment in zip(fresh, judgments, strict=True):
            if isinstance(judgment, JudgeFailure):
                attempt.refused_because = _NOT_JUDGED
            else:
                attempt.evaluation = judgment
        if failures:
            log.notes.append(f"{_NOT_ALL_JUDGED}:{len(failures)}")
        if len(failures) < len(fresh) or all(isinstance(failure.error, InvalidInput) for failure in failures):
            return None
        late = any(isinstance(failure.error, DeadlineExceeded) for failure in failures)
        return Stop.JUDGE_LATE if late else Stop.JUDGE_UNAVAILABLE

    @asynccontextmanager
    async def _timed(self, stage: Stage, log: _Log) -> AsyncIterator[None]:
        began_s = time.perf_counter()
        with self._tracer.span(stage):
            yield
        seconds = time.perf_counter() - began_s
        log.stage_ms[stage] = round(seconds * 1000, 1)
        self._times.record(stage, seconds)
        self._metrics.observe_stage(stage, seconds)


def _with_safety_planned(plan: tuple[str, ...], to_say: str | None) -> tuple[str, ...]:
    """Return the plan, its last change replaced by what a person in danger must be told: no model decides on that."""
    return plan if to_say is None else (*plan[:_CHANGES_BESIDE_SAFETY], f"Offer this step: {to_say}")


def _aims(rules: GateRules, held: Held) -> tuple[Dimension, ...]:
    """Return what the roles work on; a reply that meets every threshold and is dangerous all the same: its Safety."""
    return rules.deficient(held.table) or (Dimension.SAFETY,)


def _gated(rules: GateRules, held: Held, attempts: Sequence[_Attempt]) -> Held:
    """Let the gate decide; mark each attempt with what became of it and return what is held now."""
    tables = [ScoreTable.of(attempt.evaluation) if attempt.evaluation else None for attempt in attempts]
    verdict = decide(held.table, tables, rules)
    for attempt, refusal in zip(attempts, verdict.refusals, strict=True):
        attempt.refused_because = attempt.refused_because or refusal
    if verdict.accepted is None:
        return held
    taken = attempts[verdict.accepted]
    taken.accepted = True
    return replace(held, response=taken.response, evaluation=taken.evaluation) if taken.evaluation else held


def _engine_stop(written: Sequence[Rewrite | NoRewrite]) -> Stop | None:
    """Return the reason to end the loop when the engine gave no candidate at all."""
    errors = [item.error for item in written if isinstance(item, NoRewrite) and item.error is not None]
    if len(errors) < len(written) or all(isinstance(error, InvalidInput) for error in errors):
        return None
    return Stop.MODEL_LATE if any(isinstance(error, DeadlineExceeded) for error in errors) else Stop.MODEL_UNAVAILABLE


def _failure(item: NoRewrite) -> str:
    if isinstance(item.error, DeadlineExceeded):
        return "late"
    return "prompt_too_long" if isinstance(item.error, InvalidInput) else "unavailable"


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _with_safety_said(case: Case, rewrite: str) -> str:
    """Return the rewrite; what a person in danger must be told stands at its end where the Therapist left it out."""
    if case.to_say is None or says_it(rewrite, case.to_say, case.resources):
        return rewrite
    return f"{rewrite}\n\n{case.to_say}"


def was_hampered(trace: RoundTrace) -> bool:
    """Return whether a part was late or down in the round, so that a repeat may go better."""
    return any(note.endswith(("_late", "_unavailable")) or note.startswith(_NOT_ALL_JUDGED) for note in trace.notes)


def _traces(attempts: Sequence[_Attempt]) -> tuple[CandidateTrace, ...]:
    return tuple(attempt.trace() for attempt in attempts)
