"""One verdict of one served judge: render the prompt, ask the engine for seven digits, read their distributions.

The pipeline, the canary, the shadow and the sentinels all score through here, so that a checkpoint is proved the way it
serves. Fails closed: whatever is not seven complete distributions raises.
"""

from collections.abc import Sequence

import anyio.to_thread

from judge_service.judgment import StoredVerdict
from judge_service.served import ServedJudge
from services.contracts.conversation import Turn
from services.deadline import Deadline
from services.errors import EngineMalformed, InvalidInput
from services.llm.port import LLM, CompletionRequest, CompletionResult
from services.rubric.errors import ReplyTooLong, VerdictMalformed
from services.rubric.prompt import VERDICT_TOKENS, ScoringPrompt
from services.rubric.verdict import read_verdict


async def render(served: ServedJudge, turns: Sequence[Turn], reply: str) -> ScoringPrompt:
    """Return the scoring prompt; rendered in a worker thread, as tokenising 100 kB takes tens of milliseconds.

    Raises:
        InvalidInput: the reply alone does not fit the model's window.
    """
    try:
        return await anyio.to_thread.run_sync(served.renderer.render, turns, reply)
    except ReplyTooLong as error:
        raise InvalidInput(f"body.response: {error}; shorten it") from error


async def score(
    engine: LLM,
    served: ServedJudge,
    prompt: ScoringPrompt,
    deadline: Deadline,
    *,
    kind: str = "verdict",
    priority: int = 0,
) -> StoredVerdict:
    """Return the verdict on a rendered prompt; `kind` labels the engine's metrics, a `priority` above 0 goes last.

    Raises:
        EngineUnavailable, EngineMalformed, Overloaded, DeadlineExceeded: there is no verdict, so there is no score.
    """
    level_ids = served.renderer.tokenizer.level_ids
    request = CompletionRequest(
        kind=kind,
        model=served.model,
        prompt_ids=tuple(prompt.ids),
        max_tokens=VERDICT_TOKENS,
        temperature=0.0,
        allowed_token_ids=level_ids,
        logprobs=len(level_ids),
        priority=priority,
    )
    distributions = _read(await engine.complete(request, deadline), level_ids)
    return StoredVerdict(distributions=distributions, truncated=prompt.truncated)


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
