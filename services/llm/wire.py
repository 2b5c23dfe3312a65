"""vLLM's OpenAI-compatible JSON and our types: requests out, answers in, nothing guessed.

Tokens travel as ids in both directions: prompts are ids, and with `return_tokens_as_token_ids` log-probabilities come
keyed `token_id:<n>`. An answer that lacks anything that was asked for is `EngineMalformed`.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.errors import EngineMalformed
from services.llm.port import Choice, CompletionRequest, CompletionResult, Usage

_TOKEN_PREFIX: Final = "token_id:"  # noqa: S105  vLLM's name for a token of text
_WAITING: Final = "vllm:num_requests_waiting{"
_FINISHED: Final = ("stop", "length")


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class _PromptDetails(_Wire):
    cached_tokens: int | None = None


class _Usage(_Wire):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails | None = None


class _TextLogprobs(_Wire):
    top_logprobs: tuple[dict[str, float], ...]


class _TextChoice(_Wire):
    index: int
    text: str
    token_ids: tuple[int, ...]
    finish_reason: str
    logprobs: _TextLogprobs | None = None

    def top_logprobs(self) -> tuple[dict[str, float], ...]:
        return self.logprobs.top_logprobs if self.logprobs else ()


class _TokenLogprob(_Wire):
    token: str
    logprob: float


class _ChatToken(_Wire):
    top_logprobs: tuple[_TokenLogprob, ...]


class _ChatLogprobs(_Wire):
    content: tuple[_ChatToken, ...] | None = None


class _ChatMessage(_Wire):
    content: str | None = None


class _ChatChoice(_Wire):
    index: int
    message: _ChatMessage
    token_ids: tuple[int, ...]
    finish_reason: str
    logprobs: _ChatLogprobs | None = None

    @property
    def text(self) -> str:
        return self.message.content or ""

    def top_logprobs(self) -> tuple[dict[str, float], ...]:
        tokens = (self.logprobs and self.logprobs.content) or ()
        return tuple({top.token: top.logprob for top in token.top_logprobs} for token in tokens)


class _TextAnswer(_Wire):
    choices: tuple[_TextChoice, ...]
    usage: _Usage


class _ChatAnswer(_Wire):
    choices: tuple[_ChatChoice, ...]
    usage: _Usage


class _Model(_Wire):
    id: str


class _Models(_Wire):
    data: tuple[_Model, ...]


class EngineError(_Wire):
    """What the engine says when it refuses. The message may quote the request: it is never shown or logged."""

    message: str = Field(default="", repr=False)
    type: str = ""
    param: str | None = None


class _ErrorAnswer(_Wire):
    error: EngineError


def path_of(request: CompletionRequest) -> str:
    """Return which of vLLM's two endpoints serves the request."""
    return "/v1/chat/completions" if request.messages is not None else "/v1/completions"


def body_of(request: CompletionRequest) -> dict[str, Any]:
    """Return the JSON body; what is at its default is left out."""
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "n": request.n,
        "stream": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }
    optional = {
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "allowed_token_ids": list(request.allowed_token_ids) if request.allowed_token_ids is not None else None,
        "priority": request.priority or None,
        "cache_salt": request.cache_salt,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    if request.messages is not None:
        body["messages"] = [{"role": message.role, "content": message.content} for message in request.messages]
        if request.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": request.logprobs}
        return body
    body["prompt"] = list(request.prompt_ids) if request.prompt_ids is not None else request.prompt
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs
    return body


def result_of(request: CompletionRequest, raw: bytes) -> CompletionResult:
    """Return the answer in our types; raise EngineMalformed unless it holds all that was asked for."""
    shape: type[_TextAnswer | _ChatAnswer] = _ChatAnswer if request.messages is not None else _TextAnswer
    try:
        answer = shape.model_validate_json(raw)
    except ValidationError as error:
        raise EngineMalformed("the model server's answer has not the expected form") from error
    by_index: dict[int, _TextChoice | _ChatChoice] = {choice.index: choice for choice in answer.choices}
    if len(by_index) != request.n:
        raise EngineMalformed(f"the model server gave {len(by_index)} answers where {request.n} were asked for")
    choices = tuple(_choice(request, by_index[index]) for index in sorted(by_index))
    details = answer.usage.prompt_tokens_details
    cached = (details and details.cached_tokens) or 0
    return CompletionResult(choices, Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens, cached))


def models_of(raw: bytes) -> tuple[str, ...]:
    """Return the model names of `GET /v1/models`."""
    try:
        return tuple(model.id for model in _Models.model_validate_json(raw).data)
    except ValidationError as error:
        raise EngineMalformed("the model server's list of models has not the expected form") from error


def waiting_of(exposition: str) -> int:
    """Return the length of the engine's queue, over all its parallel parts, from its Prometheus metrics."""
    values = [line.rpartition(" ")[2] for line in exposition.splitlines() if line.startswith(_WAITING)]
    if not values or not all(value.replace(".", "", 1).isdecimal() for value in values):
        raise EngineMalformed("the model server's metrics do not say how many requests wait")
    return round(sum(map(float, values)))


def error_of(raw: bytes) -> EngineError:
    """Return what the engine says of a refusal; empty when it says nothing in its own form."""
    try:
        return _ErrorAnswer.model_validate_json(raw).error
    except ValidationError:
        return EngineError()


def _choice(request: CompletionRequest, choice: _TextChoice | _ChatChoice) -> Choice:
    if choice.finish_reason not in _FINISHED:
        raise EngineMalformed("the model server did not finish an answer")
    tops = tuple(_by_id(top) for top in choice.top_logprobs())
    if request.logprobs is not None and len(tops) != len(choice.token_ids):
        raise EngineMalformed("the model server left out log-probabilities")
    return Choice(choice.text, choice.token_ids, tops, choice.finish_reason)


def _by_id(top: dict[str, float]) -> dict[int, float]:
    try:
        return {int(name.removeprefix(_TOKEN_PREFIX)): logprob for name, logprob in top.items()}
    except ValueError as error:
        raise EngineMalformed("the model server named tokens by text where ids were asked for") from error
