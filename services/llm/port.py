"""The completion port: what judge and agent ask of a language model, in plain types.

One request is one prompt (token ids, text, or chat messages: exactly one of them) and `n` answers. Adapters translate;
they never guess a missing answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from services.deadline import Deadline

MAX_STOPS: Final = 4
"""The OpenAI API allows four stop sequences; vLLM refuses a request with more."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message, rendered by the model's own chat template."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """What to complete, and how to sample.

    Attributes:
        kind: what it is for, as the `kind` label of engine metrics: verdict, rationale, critic, coach, therapist.
        model: the engine's name of the base model or of a loaded adapter.
        prompt_ids: the prompt as token ids; exactly one of this, `prompt` and `messages` is set.
        prompt: the prompt as text.
        messages: the prompt as chat messages.
        allowed_token_ids: only these may be sampled; `logprobs` then covers exactly them (`processed_logprobs`).
        logprobs: how many alternatives per token to return with log-probabilities, None for none.
        priority: lower is served first.
        cache_salt: keeps the engine's prefix cache apart from that of other salts.
    """

    kind: str
    model: str
    max_tokens: int
    prompt_ids: tuple[int, ...] | None = None
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    allowed_token_ids: tuple[int, ...] | None = None
    logprobs: int | None = None
    priority: int = 0
    cache_salt: str | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.prompt_ids, self.prompt, self.messages)) != 1:
            raise ValueError("give exactly one of prompt_ids, prompt and messages")
        if len(self.stop) > MAX_STOPS:
            raise ValueError(f"give at most {MAX_STOPS} stop sequences")


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer.

    Attributes:
        text: the decoded answer.
        token_ids: its token ids, in order.
        top_logprobs: per token, log-probability by token id; empty when none were asked for.
        finish_reason: `stop` or `length`, as the engine says.
    """

    text: str
    token_ids: tuple[int, ...]
    top_logprobs: tuple[Mapping[int, float], ...]
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written for one request; `cached_tokens` of the prompt came from the engine's prefix cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """All `n` answers, in the engine's order."""

    choices: tuple[Choice, ...]
    usage: Usage


class LLM(Protocol):
    """A language model that completes."""

    async def complete(self, request: CompletionRequest, deadline: Deadline) -> CompletionResult:
        """Return exactly `request.n` choices.

        Raises:
            EngineUnavailable: the engine does not answer, or refuses for a reason of its own.
            EngineMalformed: the answer is not what was asked for.
            Overloaded: too many requests wait already.
            DeadlineExceeded: time ran out.
            InvalidInput: the engine refused the request itself (for example, the prompt exceeds the window).
        """
        ...


class Load(Protocol):
    """A language model that says how busy it is."""

    async def waiting(self, deadline: Deadline) -> int:
        """Return how many requests, of whomever, wait in the engine's own queue.

        Raises:
            EngineMalformed: it does not say.
            EngineUnavailable, DeadlineExceeded: as `complete`.
        """
        ...


class Adapters(Protocol):
    """A language model whose LoRA adapters can be changed while it serves."""

    async def models(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the names that `CompletionRequest.model` may carry."""
        ...

    async def load_adapter(self, name: str, path: str, deadline: Deadline) -> None:
        """Load the adapter folder `path`, as the engine sees it, under a name never used before.

        Raises:
            Conflict: the name is loaded already.
            EngineMalformed: the engine cannot use the folder.
            EngineUnavailable, DeadlineExceeded: as `complete`.
        """
        ...

    async def unload_adapter(self, name: str, deadline: Deadline) -> None:
        """Unload it.

        Raises:
            NotFound: no such adapter is loaded.
            EngineUnavailable, DeadlineExceeded: as `complete`.
        """
        ...
