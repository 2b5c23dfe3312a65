"""What every language model port does. A test class per adapter subclasses this and gives `llm` and `model`."""

import math

import pytest

from services.deadline import Deadline
from services.errors import DeadlineExceeded
from services.llm.port import LLM, CompletionRequest

PATIENCE_S = 100.0


class LLMContract:
    """The completion port's promises, for a model that knows the token ids in `allowed`."""

    async def test_a_constrained_verdict_gives_each_allowed_token_its_probability(
        self, llm: LLM, model: str, allowed: tuple[int, ...]
    ) -> None:
        request = CompletionRequest(
            kind="verdict",
            model=model,
            prompt_ids=allowed,
            max_tokens=7,
            allowed_token_ids=allowed,
            logprobs=len(allowed),
        )
        result = await llm.complete(request, Deadline.after(PATIENCE_S))
        (choice,) = result.choices
        assert len(choice.token_ids) == len(choice.top_logprobs) == 7
        for token, top in zip(choice.token_ids, choice.top_logprobs, strict=True):
            assert top.keys() == set(allowed)
            assert sum(map(math.exp, top.values())) == pytest.approx(1.0, abs=1e-4)
            assert token == max(top, key=lambda each: top[each])
        assert result.usage.completion_tokens == 7
        assert result.usage.prompt_tokens > 0

    async def test_with_no_time_left_nothing_is_completed(self, llm: LLM, model: str, allowed: tuple[int, ...]) -> None:
        request = CompletionRequest(kind="verdict", model=model, prompt_ids=allowed, max_tokens=1)
        with pytest.raises(DeadlineExceeded):
            await llm.complete(request, Deadline.after(0))
