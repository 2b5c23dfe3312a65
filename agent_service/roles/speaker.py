"""How a role speaks: one completion with its model, remembered by everything that changes the answer."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from services.cache.memo import ComputeOnce
from services.deadline import Deadline
from services.errors import EngineMalformed
from services.llm.port import LLM, Adapters, CompletionRequest
from services.roles.prompts import PromptStyle, Role, RolePrompt


class Spoken(BaseModel):
    """What a role's model said, as cached."""

    model_config = ConfigDict(frozen=True)

    text: str
    finish_reason: str


@dataclass(frozen=True, slots=True)
class RoleModel:
    """Which model plays a role, and how it is prompted.

    Attributes:
        name: the engine's name of an adapter or of a base model; None: the first model that the engine lists.
        style: how it is prompted.
        max_tokens: longest answer.
        identity: what stands for the weights behind the name in cache keys.
    """

    name: str | None
    style: PromptStyle
    max_tokens: int
    identity: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn; the seed makes a repeat the same."""

    temperature: float
    top_p: float
    seed: int


class Speaker:
    """Asks the engine on behalf of roles."""

    def __init__(self, engine: LLM, listing: Adapters, memo: ComputeOnce) -> None:
        self._engine = engine
        self._listing = listing
        self._memo = memo
        self._base_model: str | None = None

    async def speak(
        self, role: Role, model: RoleModel, prompt: RolePrompt, sampling: Sampling, deadline: Deadline
    ) -> Spoken:
        """Return the model's answer, with what the prompt primed in front.

        Raises:
            EngineUnavailable, EngineMalformed, Overloaded, DeadlineExceeded, InvalidInput: as the engine's port.
        """

        name = model.name or await self._base(deadline)

        async def ask() -> Spoken:
            result = await self._engine.complete(_request(role, name, model, prompt, sampling), deadline)
            if len(result.choices) != 1:
                raise EngineMalformed(f"the engine returned {len(result.choices)} answers for one")
            choice = result.choices[0]
            return Spoken(text=prompt.primed + choice.text, finish_reason=choice.finish_reason)

        key = [name, model.identity, str(model.max_tokens), repr(sampling), prompt.primed, prompt.identity]
        return (await self._memo.get_or_compute(f"role-{role}", key, Spoken, ask, deadline)).value

    async def _base(self, deadline: Deadline) -> str:
        """Return the engine's base model: the first it lists; asked once."""
        if self._base_model is None:
            models = await self._listing.models(deadline)
            if not models:
                raise EngineMalformed("the engine lists no model")
            self._base_model = models[0]
        return self._base_model


def _request(role: Role, name: str, model: RoleModel, prompt: RolePrompt, sampling: Sampling) -> CompletionRequest:
    return CompletionRequest(
        kind=role,
        model=name,
        prompt=prompt.text,
        messages=prompt.messages,
        max_tokens=model.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=sampling.seed,
        stop=prompt.stop,
    )
