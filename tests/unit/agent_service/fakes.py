"""A judge that scores by a function of the reply, and a pipeline wired with it and a scripted model."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry

from agent_service.app import build_pipeline
from agent_service.metrics import RefineMetrics
from agent_service.pipeline import RefinePipeline
from agent_service.ports import JudgeFailure
from agent_service.roles.speaker import Speaker
from agent_service.settings import AgentSettings
from services.cache.memo import ComputeOnce
from services.cache.memory import InProcessCache
from services.cache.sealed import SealedCache
from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import DimensionScore, Evaluation
from services.deadline import Deadline
from services.errors import DeadlineExceeded, DependencyUnavailable, ServiceError
from services.llm.port import Choice, CompletionRequest, CompletionResult, Usage

Scores = float | Mapping[str, float]
CRITIQUE = ' "Pets die" brushes the loss aside and is cold.'
PLAN = " Say how sad it is that the dog died.\n2. Ask what the evenings were like."
REWRITES = (
    "I'm so sorry about your dog. The quiet in the flat must hurt so much tonight.",
    "Your dog was family, and the quiet flat makes that so plain. What do you miss most?",
    "Losing your dog last night leaves a hole. Would a short walk on your usual way feel right?",
    "It is so hard to lose a dog. Please be gentle with yourself in the quiet tonight.",
)


def evaluation(scores: Scores, *, checkpoint: str = "v1:abc") -> Evaluation:
    """Return an evaluation with one score for all dimensions, or the given ones over 4.0."""
    table = {
        name: scores if isinstance(scores, float | int) else float(scores.get(name.value, 4.0)) for name in DIMENSIONS
    }
    return Evaluation(
        id="ev_1",
        scores={
            name: DimensionScore(score=value, level=round(value), distribution=(0.2,) * 5, interval=(value, value))
            for name, value in table.items()
        },
        cognitive_support=3.0,
        affective_resonance=3.0,
        overall=sum(table.values()) / len(table),
        flags=(),
        needs_human_review=False,
        checkpoint=checkpoint,
        truncated=False,
        cached=False,
    )


class ScriptedJudge:
    """Implements `agent_service.ports.Judge`. `score` gives scores, or the error to fail with."""

    def __init__(
        self,
        score: Callable[[str], Scores | ServiceError],
        *,
        many_fail: bool = False,
        hang_from: int | None = None,
    ) -> None:
        """Script a judge; from batch `hang_from` (from 1) on it does not answer in time."""
        self._score = score
        self._many_fail = many_fail
        self._hang_from = hang_from
        self.singles: list[str] = []
        self.batches: list[tuple[str, ...]] = []
        self.checkpoint = "v1:abc"

    async def evaluate(self, turns: tuple[Turn, ...], response: str, deadline: Deadline) -> Evaluation:
        """Return the scripted judgment."""
        self.singles.append(response)
        async with deadline.enforce():
            scored = self._score(response)
        if isinstance(scored, ServiceError):
            raise scored
        return evaluation(scored, checkpoint=self.checkpoint)

    async def evaluate_many(
        self, turns: tuple[Turn, ...], responses: Sequence[str], deadline: Deadline
    ) -> list[Evaluation | JudgeFailure]:
        """Return the scripted judgments."""
        self.batches.append(tuple(responses))
        if self._hang_from is not None and len(self.batches) >= self._hang_from:
            try:
                async with deadline.enforce():
                    await asyncio.Event().wait()
            except DeadlineExceeded as error:
                return [JudgeFailure(error) for _ in responses]
        if self._many_fail:
            return [JudgeFailure(DependencyUnavailable("down")) for _ in responses]
        scored = [self._score(response) for response in responses]
        return [JudgeFailure(item) if isinstance(item, ServiceError) else evaluation(item) for item in scored]


class ScriptedRoles:
    """Implements the LLM and Adapters ports: each role answers from its script."""

    def __init__(
        self,
        *,
        critic: str | ServiceError = CRITIQUE,
        coach: str | ServiceError = PLAN,
        therapist: Sequence[str] | ServiceError = REWRITES,
        finish_reason: str = "stop",
        hang: str | None = None,
    ) -> None:
        self._script: dict[str, str | Sequence[str] | ServiceError] = {
            "critic": critic,
            "coach": coach,
            "therapist": therapist,
        }
        self._finish_reason = finish_reason
        self._hang = hang
        self.requests: list[CompletionRequest] = []

    def of(self, kind: str) -> list[CompletionRequest]:
        """Return the requests of one role."""
        return [request for request in self.requests if request.kind == kind]

    async def complete(self, request: CompletionRequest, deadline: Deadline) -> CompletionResult:
        """Return the role's next line."""
        self.requests.append(request)
        async with deadline.enforce():
            if request.kind == self._hang:
                await asyncio.Event().wait()
        line = self._script[request.kind]
        if isinstance(line, ServiceError):
            raise line
        text = line if isinstance(line, str) else line[(len(self.of(request.kind)) - 1) % len(line)]
        return CompletionResult((Choice(text, (), (), self._finish_reason),), Usage(1, 1))

    async def models(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the one base model."""
        return ("base",)

    async def load_adapter(self, name: str, path: str, deadline: Deadline) -> None:
        """Load nothing."""

    async def unload_adapter(self, name: str, deadline: Deadline) -> None:
        """Unload nothing."""


def settings(**changed: object) -> AgentSettings:
    """Return settings with auth off and the given parts replaced."""
    return AgentSettings.model_validate({"auth": {"mode": "off"}, **changed})


def pipeline(
    judge: ScriptedJudge,
    roles: ScriptedRoles,
    *,
    registry: CollectorRegistry | None = None,
    **changed: object,
) -> RefinePipeline:
    """Return the real pipeline over the two fakes and an in-process cache."""
    memo = ComputeOnce(SealedCache(InProcessCache(2**20), None), ttl_s=60.0)
    return build_pipeline(
        settings(**changed),
        judge=judge,
        speaker=Speaker(roles, roles, memo),
        memo=memo,
        metrics=RefineMetrics(registry or CollectorRegistry()),
    )
