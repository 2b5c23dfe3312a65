"""One refinement from request to answer: screen the person, judge the draft, run the loop, conclude by the policy.

A person in danger gets resources whatever else happens, and an unsafe reply never goes out. Whole results are
remembered under everything that changes them, the judge's checkpoint included; results of a bad moment are not.
"""

import time
import uuid
from dataclasses import dataclass
from typing import Final

import anyio.to_thread
from pydantic import BaseModel, ConfigDict

from agent_service.budget import Stage
from agent_service.crisis.lexicon import Category
from agent_service.crisis.messages import FallbackMessages
from agent_service.crisis.resources import ResourceDirectory
from agent_service.crisis.screen import CrisisScreen
from agent_service.gate import GateRules
from agent_service.loop import LoopEnd, RefineLoop
from agent_service.metrics import RefineMetrics
from agent_service.policy import DRAFT_NOT_JUDGED, REPEATABLE, Ending, Policy, Stop, conclude
from agent_service.ports import Emit, Judge
from agent_service.rounds import Case, Held, was_hampered
from services.cache.memo import ComputeOnce
from services.contracts.conversation import Turn, turns_of
from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import Evaluation
from services.contracts.refine import Crisis, Outcome, RefineEvent, Refinement, RefineRequest, RoundTrace
from services.deadline import Deadline
from services.errors import DeadlineExceeded, InvalidInput, ServiceError
from services.telemetry.tracing import UNTRACED, Attribute, Tracer
from services.text_checks.language import language_of

_ANSWER_S: Final = 0.05
"""Kept back of every deadline for composing and sending the answer: it takes a few milliseconds."""


class StoredEnd(BaseModel):
    """Where the loop ended, as cached."""

    model_config = ConfigDict(frozen=True)

    response: str
    evaluation: Evaluation
    improved: bool
    safe: bool
    rounds: tuple[RoundTrace, ...]
    stop: Stop


class _OfTheMoment(Exception):
    """Carries an end past the cache: it says something of the moment, not of the draft."""

    def __init__(self, end: StoredEnd) -> None:
        super().__init__()
        self.end = end


@dataclass(frozen=True, slots=True)
class _Screened:
    """A request with what the screen found in it."""

    request: RefineRequest
    turns: tuple[Turn, ...]
    categories: tuple[str, ...]
    dangerous_draft: bool


class RefinePipeline:
    """Refines drafts."""

    def __init__(
        self,
        *,
        judge: Judge,
        loop: RefineLoop,
        screen: CrisisScreen,
        resources: ResourceDirectory,
        messages: FallbackMessages,
        memo: ComputeOnce,
        rules: GateRules,
        policy: Policy,
        identity: tuple[str, ...],
        metrics: RefineMetrics,
        tracer: Tracer = UNTRACED,
    ) -> None:
        """Take the service's own `rules`, whose thresholds a request may replace.

        `identity` is all else that changes results: prompts, models, data files.
        """
        self._judge = judge
        self._loop = loop
        self._screen = screen
        self._resources = resources
        self._messages = messages
        self._memo = memo
        self._rules = rules
        self._policy = policy
        self._identity = identity
        self._metrics = metrics
        self._tracer = tracer

    async def refine(self, request: RefineRequest, deadline: Deadline, emit: Emit) -> Refinement:
        """Return what to send instead of `request.response`, at the latest by the deadline.

        Raises:
            InvalidInput: the judge cannot take the draft, and the person is not in danger.
            DeadlineExceeded, DependencyUnavailable: a part is late or down and the policy is to reject.
        """
        with self._tracer.span("refine") as span:
            refinement, rounds = await self._refined(request, deadline, emit)
            span.set({Attribute.OUTCOME: refinement.outcome.value, Attribute.CACHE_HIT: refinement.cached})
        self._metrics.observe(refinement, rounds)
        return refinement

    async def _refined(self, request: RefineRequest, deadline: Deadline, emit: Emit) -> tuple[Refinement, int]:
        deadline = min(deadline, Deadline.after(request.deadline_ms / 1000)).shrink(_ANSWER_S)
        screened = await self._screened(request)
        try:
            draft = await self._judged(screened, deadline)
        except InvalidInput:
            if not screened.categories:
                raise
            # The person waits for help, whoever has to mend the request: they get the fixed message and resources.
            return self._answer(screened, DRAFT_NOT_JUDGED, request.response, screened.categories), 0
        except ServiceError as error:
            return self._without_judge(screened, error), 0
        emit(RefineEvent(event="judged", evaluation=draft.evaluation))
        return await self._with_judge(screened, draft, deadline, emit)

    async def _screened(self, request: RefineRequest) -> _Screened:
        turns = turns_of(request.context)
        # In a worker thread: 100 kB of text take a second, and others must not wait for it.
        found = await anyio.to_thread.run_sync(self._screen.of_person, turns)
        dangerous = await anyio.to_thread.run_sync(self._screen.is_dangerous_reply, request.response)
        return _Screened(request, turns, tuple(finding.category.value for finding in found), dangerous)

    async def _judged(self, screened: _Screened, deadline: Deadline) -> Held:
        began_s = time.perf_counter()
        try:
            with self._tracer.span(Stage.JUDGE_DRAFT):
                evaluation = await self._judge.evaluate(screened.turns, screened.request.response, deadline)
        finally:
            self._metrics.observe_stage(Stage.JUDGE_DRAFT, time.perf_counter() - began_s)
        return Held(screened.request.response, evaluation)

    def _without_judge(self, screened: _Screened, error: ServiceError) -> Refinement:
        stop = Stop.JUDGE_LATE if isinstance(error, DeadlineExceeded) else Stop.JUDGE_UNAVAILABLE
        ending = conclude(
            stop,
            self._policy,
            safe=not screened.dangerous_draft,
            improved=False,
            in_crisis=bool(screened.categories),
        )
        return self._answer(screened, ending, screened.request.response, screened.categories)

    async def _with_judge(
        self, screened: _Screened, draft: Held, deadline: Deadline, emit: Emit
    ) -> tuple[Refinement, int]:
        case = self._case(screened, draft, emit)
        categories = screened.categories
        if not case.rules.is_safe(draft.table):
            categories = (*categories, Category.LOW_SAFETY.value)
        if self._loop.is_finished(case, draft):
            passed = Ending(Outcome.PASSED, None)
            answer = self._answer(
                screened, passed, draft.response, categories, before=draft.evaluation, after=draft.evaluation
            )
            return answer, 0
        end, cached = await self._looped(screened, case, draft, deadline)
        ending = conclude(
            end.stop, self._policy, safe=end.safe, improved=end.improved, in_crisis=bool(screened.categories)
        )
        refinement = self._answer(
            screened,
            ending,
            end.response,
            categories,
            before=draft.evaluation,
            after=end.evaluation,
            rounds=end.rounds,
            cached=cached,
        )
        return refinement, len(end.rounds)

    async def _looped(self, screened: _Screened, case: Case, draft: Held, deadline: Deadline) -> tuple[StoredEnd, bool]:
        async def compute() -> StoredEnd:
            # Ends before those who wait for it give up: what it has reached by then is worth more than the draft.
            within = deadline.shrink(_ANSWER_S)
            end = _stored(await self._loop.run(case, draft, screened.request.max_rounds, within))
            if end.stop not in REPEATABLE or any(was_hampered(trace) for trace in end.rounds):
                raise _OfTheMoment(end)
            return end

        key = self._key(screened, case, draft)
        try:
            memoised = await self._memo.get_or_compute("refinement", key, StoredEnd, compute, deadline)
        except _OfTheMoment as passing:
            return passing.end, False
        except DeadlineExceeded:
            # Another request was computing the same and our time ran out first: what we hold is the draft.
            safe = self._loop.is_safe(case, draft)
            return _stored(LoopEnd(draft, improved=False, safe=safe, rounds=(), stop=Stop.NO_TIME)), False
        return memoised.value, memoised.cached

    def _case(self, screened: _Screened, draft: Held, emit: Emit) -> Case:
        thresholds = {**self._rules.thresholds, **(screened.request.thresholds or {})}
        rules = GateRules(thresholds, self._rules.margin, self._rules.safety_floor)
        unsafe = screened.dangerous_draft or not rules.is_safe(draft.table)
        resources = self._resources.of(screened.request.region, tuple(Category))
        return Case(
            turns=screened.turns,
            draft=draft.response,
            to_keep="" if unsafe else draft.response,
            rules=rules,
            candidates=screened.request.candidates,
            resources="\n".join(f"{resource.name}: {resource.contact}" for resource in resources),
            to_say=self._messages.step_for(screened.categories, _language(screened.turns)),
            emit=emit,
        )

    def _key(self, screened: _Screened, case: Case, draft: Held) -> list[str]:
        request = screened.request
        options = [str(request.max_rounds), str(request.candidates), request.region or ""]
        thresholds = [f"{case.rules.thresholds[name]}" for name in DIMENSIONS]
        said = [part for turn in screened.turns for part in (turn.role, turn.content)]
        return [*self._identity, draft.evaluation.checkpoint, *options, *thresholds, request.response, *said]

    def _answer(
        self,
        screened: _Screened,
        ending: Ending,
        response: str,
        categories: tuple[str, ...],
        *,
        before: Evaluation | None = None,
        after: Evaluation | None = None,
        rounds: tuple[RoundTrace, ...] = (),
        cached: bool = False,
    ) -> Refinement:
        """Compose the answer: resources whenever danger was found or the fixed message goes out."""
        fallback = ending.outcome is Outcome.FALLBACK
        resources = self._resources.of(screened.request.region, categories) if categories or fallback else ()
        if fallback:
            response = self._messages.compose(categories, resources, _language(screened.turns))
        return Refinement(
            id=f"rf_{uuid.uuid4().hex}",
            outcome=ending.outcome,
            response=response,
            before=before,
            after=None if fallback else after,
            crisis=Crisis(detected=bool(categories), categories=categories, resources=resources),
            rounds=rounds if screened.request.trace else (),
            reason=ending.reason,
            checkpoint=before.checkpoint if before else None,
            cached=cached,
        )


def _stored(end: LoopEnd) -> StoredEnd:
    return StoredEnd(
        response=end.held.response,
        evaluation=end.held.evaluation,
        improved=end.improved,
        safe=end.safe,
        rounds=end.rounds,
        stop=end.stop,
    )


def _language(turns: tuple[Turn, ...]) -> str | None:
    said = [turn.content for turn in turns if turn.role == "user"]
    return next((language for language in map(language_of, reversed(said)) if language), None)
