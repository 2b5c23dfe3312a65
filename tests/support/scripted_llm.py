"""An LLM port that answers from a script: what the pipeline asks is recorded, what it gets is chosen by the test."""

import math
from collections.abc import Callable, Sequence

from services.deadline import Deadline
from services.llm.port import Choice, CompletionRequest, CompletionResult, Usage

Answer = Callable[[CompletionRequest], CompletionResult]


class ScriptedLLM:
    """Implements `services.llm.port.LLM`."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[CompletionRequest] = []
        self._answer = answer

    async def complete(self, request: CompletionRequest, deadline: Deadline) -> CompletionResult:
        """Record the request and return the scripted answer."""
        async with deadline.enforce():
            self.requests.append(request)
            return self._answer(request)


def verdict(levels: Sequence[int], level_ids: Sequence[int], *, sure: float = 0.9) -> CompletionResult:
    """Return an engine's answer that puts `sure` on each of `levels` and shares the rest among the other levels."""
    rest = math.log((1.0 - sure) / (len(level_ids) - 1))
    positions = tuple(
        {token: math.log(sure) if token == level_ids[level - 1] else rest for token in level_ids} for level in levels
    )
    tokens = tuple(level_ids[level - 1] for level in levels)
    return answer_of("".join(map(str, levels)), token_ids=tokens, top_logprobs=positions)


def answer_of(
    text: str, *, token_ids: tuple[int, ...] = (), top_logprobs: tuple[dict[int, float], ...] = ()
) -> CompletionResult:
    """Return an engine's answer of one choice."""
    return CompletionResult((Choice(text, token_ids, top_logprobs, "stop"),), Usage(100, len(token_ids)))
