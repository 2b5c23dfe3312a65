"""Counts the tokens of each role for the draft that is being refined, in front of the engine's port."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from services.deadline import Deadline
from services.llm.port import LLM, CompletionRequest, CompletionResult

Tokens = dict[str, int]
"""Prompt and completion tokens together, by role."""
_current: ContextVar[Tokens | None] = ContextVar("evaluation_tokens", default=None)


@contextmanager
def counted() -> Iterator[Tokens]:
    """Yield the tokens that are used within the block, also by tasks that it starts."""
    tokens: Tokens = {}
    token = _current.set(tokens)
    try:
        yield tokens
    finally:
        _current.reset(token)


class CountingLLM:
    """Implements `LLM` over another."""

    def __init__(self, engine: LLM) -> None:
        self._engine = engine

    async def complete(self, request: CompletionRequest, deadline: Deadline) -> CompletionResult:
        """Return the engine's answer and count its tokens."""
        result = await self._engine.complete(request, deadline)
        if (tokens := _current.get()) is not None:
            used = result.usage.prompt_tokens + result.usage.completion_tokens
            tokens[request.kind] = tokens.get(request.kind, 0) + used
        return result
