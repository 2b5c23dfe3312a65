"""One evaluation from request to answer: lease a judge, ask the cache, prompt the engine, read the verdict, calibrate.

Fails closed: whatever is not seven complete distributions raises, and nothing that raised is cached. A rationale is
extra: where there is none to be had, the scores go without it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict

from judge_service.judgment import ReviewPolicy, StoredVerdict, judge
from judge_service.metrics import JudgeMetrics
from judge_service.rationale import RATIONALE_STOP, RATIONALE_TOKENS
from judge_service.scoring import render, score
from judge_service.served import JudgeSource, ServedJudge, VerdictObserver
from services.cache.memo import ComputeOnce
from services.contracts.conversation import Turn, turns_of
from services.contracts.evaluate import EvaluateRequest, Evaluation
from services.deadline import Deadline
from services.errors import InvalidInput, ServiceError
from services.llm.port import LLM, CompletionRequest
from services.telemetry.tracing import UNTRACED, Attribute, Tracer

_ANSWER_S: Final = 0.5
"""What is kept of the deadline for sending scores whose rationale does not come."""
_log = structlog.get_logger(__name__)


class StoredRationale(BaseModel):
    """A rationale as cached; None when the model had nothing to say, or no room to say it."""

    model_config = ConfigDict(frozen=True)

    text: str | None


class EvaluationPipeline:
    """Judges replies."""

    def __init__(
        self,
        *,
        engine: LLM,
        judges: JudgeSource,
        memo: ComputeOnce,
        policy: ReviewPolicy,
        metrics: JudgeMetrics,
        observer: VerdictObserver,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._engine = engine
        self._judges = judges
        self._memo = memo
        self._policy = policy
        self._metrics = metrics
        self._observer = observer
        self._tracer = tracer

    async def evaluate(self, request: EvaluateRequest, deadline: Deadline) -> Evaluation:
        """Return the judgment of `request.response`.

        Raises:
            InvalidInput: the reply alone does not fit the model's window.
            EngineUnavailable, EngineMalformed, Overloaded, DeadlineExceeded: there is no verdict, so there is no score.
        """
        with self._tracer.span("evaluate") as span:
            evaluation = await self._evaluate(request, deadline)
            span.set({Attribute.CHECKPOINT: evaluation.checkpoint, Attribute.CACHE_HIT: evaluation.cached})
        self._metrics.observe(evaluation)
        return evaluation

    async def _evaluate(self, request: EvaluateRequest, deadline: Deadline) -> Evaluation:
        turns = turns_of(request.context)
        with self._judges.lease() as served:
            key = _input_key(served, turns, request.response)
            memoised = await self._memo.get_or_compute(
                "verdict", key, StoredVerdict, lambda: self._ask(served, turns, request.response, deadline), deadline
            )
            if not memoised.cached:
                self._observer.observe(served, turns, request.response, memoised.value)
            rationale = await self._rationale(served, request, turns, memoised.value, deadline)
        judgment = judge(memoised.value, served.calibration, self._policy)
        return Evaluation(
            id=f"ev_{uuid.uuid4().hex}",
            scores=judgment.scores,
            cognitive_support=judgment.cognitive_support,
            affective_resonance=judgment.affective_resonance,
            overall=judgment.overall,
            flags=judgment.flags,
            needs_human_review=judgment.needs_human_review,
            rationale=rationale,
            checkpoint=served.label,
            truncated=memoised.value.truncated,
            cached=memoised.cached,
        )

    async def _ask(self, served: ServedJudge, turns: Sequence[Turn], reply: str, deadline: Deadline) -> StoredVerdict:
        prompt = await render(served, turns, reply)
        self._metrics.prompt_tokens.observe(len(prompt.ids))
        return await score(self._engine, served, prompt, deadline)

    async def _rationale(
        self,
        served: ServedJudge,
        request: EvaluateRequest,
        turns: Sequence[Turn],
        verdict: StoredVerdict,
        deadline: Deadline,
    ) -> str | None:
        """Return why, where that was asked for and can be had: scores are never lost for it."""
        explains = served.explainer
        if not request.rationale or explains is None:
            return None

        async def explain() -> StoredRationale:
            try:
                prompt = await render(replace(served, renderer=explains), turns, request.response)
            except InvalidInput:
                return StoredRationale(text=None)  # the reply fits the window, but not with a rationale after it
            digits = [
                served.renderer.tokenizer.level_ids[max(range(5), key=probabilities.__getitem__)]
                for probabilities in verdict.distributions
            ]
            result = await self._engine.complete(
                CompletionRequest(
                    kind="rationale",
                    model=served.base_model,
                    prompt_ids=tuple(served.renderer.rationale_ids(prompt, digits)),
                    max_tokens=RATIONALE_TOKENS,
                    temperature=0.0,
                    stop=RATIONALE_STOP,
                ),
                until,
            )
            return StoredRationale(text=result.choices[0].text.strip() or None)

        until = deadline.shrink(_ANSWER_S)
        key = _input_key(served, turns, request.response)
        try:
            return (await self._memo.get_or_compute("rationale", key, StoredRationale, explain, until)).value.text
        except ServiceError as error:
            _log.warning("rationale_not_written", checkpoint=served.label, detail=error.detail)
            return None


def _input_key(served: ServedJudge, turns: Sequence[Turn], reply: str) -> list[str]:
    """Return all that determines a verdict: the judge's digests and the text, piece by piece."""
    said = [part for turn in turns for part in (turn.role, turn.content)]
    return [*served.identity, reply, *said]
