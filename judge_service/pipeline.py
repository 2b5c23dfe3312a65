"""One evaluation from request to answer: lease a judge, ask the cache, prompt the engine, read the verdict, calibrate.

Fails closed: whatever is not seven complete distributions raises, and nothing that raised is cached.
"""

import uuid
from collections.abc import Sequence

import anyio.to_thread
from pydantic import BaseModel, ConfigDict

from judge_service.judgment import ReviewPolicy, StoredVerdict, judge
from judge_service.metrics import JudgeMetrics
from judge_service.served import JudgeSource, ServedJudge
from services.cache.memo import ComputeOnce
from services.contracts.conversation import Turn, turns_of
from services.contracts.evaluate import EvaluateRequest, Evaluation
from services.deadline import Deadline
from services.errors import EngineMalformed, InvalidInput
from services.llm.port import LLM, CompletionRequest, CompletionResult
from services.rubric.errors import ReplyTooLong, VerdictMalformed
from services.rubric.prompt import VERDICT_TOKENS, ScoringPrompt
from services.rubric.verdict import read_verdict

_RATIONALE_TOKENS = 160
_RATIONALE_STOP = ("\n\n", "\n<")


class StoredRationale(BaseModel):
    """A rationale as cached; None when the model had nothing to say."""

    model_config = ConfigDict(frozen=True)

    text: str | None


class EvaluationPipeline:
    """Judges replies."""

    def __init__(
        self, *, engine: LLM, judges: JudgeSource, memo: ComputeOnce, policy: ReviewPolicy, metrics: JudgeMetrics
    ) -> None:
        self._engine = engine
        self._judges = judges
        self._memo = memo
        self._policy = policy
        self._metrics = metrics

    async def evaluate(self, request: EvaluateRequest, deadline: Deadline) -> Evaluation:
        """Return the judgment of `request.response`.

        Raises:
            InvalidInput: the reply alone does not fit the model's window.
            EngineUnavailable, EngineMalformed, Overloaded, DeadlineExceeded: there is no verdict, so there is no score.
        """
        turns = turns_of(request.context)
        with self._judges.lease() as served:
            key = _input_key(served, turns, request.response)
            memoised = await self._memo.get_or_compute(
                "verdict", key, StoredVerdict, lambda: self._ask(served, turns, request.response, deadline), deadline
            )
            rationale = await self._rationale(served, request, turns, memoised.value, deadline)
        judgment = judge(memoised.value, served.calibration, self._policy)
        evaluation = Evaluation(
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
        self._metrics.observe(evaluation)
        return evaluation

    async def _ask(self, served: ServedJudge, turns: Sequence[Turn], reply: str, deadline: Deadline) -> StoredVerdict:
        prompt = await _render(served, turns, reply)
        self._metrics.prompt_tokens.observe(len(prompt.ids))
        result = await self._engine.complete(_scoring_request(served, prompt), deadline)
        distributions = _read(result, served.renderer.tokenizer.level_ids)
        return StoredVerdict(distributions=distributions, truncated=prompt.truncated)

    async def _rationale(
        self,
        served: ServedJudge,
        request: EvaluateRequest,
        turns: Sequence[Turn],
        verdict: StoredVerdict,
        deadline: Deadline,
    ) -> str | None:
        if not request.rationale:
            return None

        async def explain() -> StoredRationale:
            prompt = await _render(served, turns, request.response)
            digits = [
                served.renderer.tokenizer.level_ids[max(range(5), key=probabilities.__getitem__)]
                for probabilities in verdict.distributions
            ]
            result = await self._engine.complete(
                CompletionRequest(
                    kind="rationale",
                    model=served.base_model,
                    prompt_ids=tuple(served.renderer.rationale_ids(prompt, digits)),
                    max_tokens=_RATIONALE_TOKENS,
                    temperature=0.0,
                    stop=_RATIONALE_STOP,
                ),
                deadline,
            )
            return StoredRationale(text=result.choices[0].text.strip() or None)

        key = _input_key(served, turns, request.response)
        return (await self._memo.get_or_compute("rationale", key, StoredRationale, explain, deadline)).value.text


async def _render(served: ServedJudge, turns: Sequence[Turn], reply: str) -> ScoringPrompt:
    """Render in a worker thread: tokenising 100 kB takes tens of milliseconds."""
    try:
        return await anyio.to_thread.run_sync(served.renderer.render, turns, reply)
    except ReplyTooLong as error:
        raise InvalidInput(f"body.response: {error}; shorten it") from error


def _scoring_request(served: ServedJudge, prompt: ScoringPrompt) -> CompletionRequest:
    return CompletionRequest(
        kind="verdict",
        model=served.model,
        prompt_ids=tuple(prompt.ids),
        max_tokens=VERDICT_TOKENS,
        temperature=0.0,
        allowed_token_ids=served.renderer.tokenizer.level_ids,
        logprobs=len(served.renderer.tokenizer.level_ids),
    )


def _read(result: CompletionResult, level_ids: Sequence[int]) -> tuple[tuple[float, float, float, float, float], ...]:
    if len(result.choices) != 1:
        raise EngineMalformed(f"the engine returned {len(result.choices)} verdicts for one reply")
    choice = result.choices[0]
    if len(choice.token_ids) != VERDICT_TOKENS or not set(choice.token_ids) <= set(level_ids):
        raise EngineMalformed("the engine returned something other than seven scores")
    try:
        return tuple(distribution.probabilities for distribution in read_verdict(choice.top_logprobs, level_ids))
    except VerdictMalformed as error:
        raise EngineMalformed(str(error)) from error


def _input_key(served: ServedJudge, turns: Sequence[Turn], reply: str) -> list[str]:
    """Return all that determines a verdict: the judge's digests and the text, piece by piece."""
    said = [part for turn in turns for part in (turn.role, turn.content)]
    return [*served.identity, reply, *said]
