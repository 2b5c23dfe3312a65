"""A model server in memory: loads checkpoint folders, scores as their golden sets say, and fails when told to."""

import math
from collections.abc import Callable
from pathlib import Path

from services.checkpoint.golden import GoldenCase
from services.checkpoint.manifest import GOLDEN_FILE
from services.contracts.dimensions import DIMENSIONS
from services.deadline import Deadline
from services.errors import Conflict, EngineMalformed, EngineUnavailable, NotFound
from services.llm.port import Choice, CompletionRequest, CompletionResult, Usage

BASE_SCORE = 2.0
_NEVER = math.log(1e-9)


class FakeEngine:
    """Implements `LLM`, `Adapters` and `Load`.

    Attributes:
        adapters: score of each loaded adapter, by name.
        down: whether it answers at all.
        refuses: whether it refuses to load.
        answering: given the model asked for, the model that really answers: an engine with a fault.
        before_load: called when a load begins.
        queue: how many requests wait.
        asked: every completion that was asked for, in order.
    """

    def __init__(self, base_model: str = "tiny") -> None:
        self.base_model = base_model
        self.adapters: dict[str, float] = {}
        self.down = False
        self.refuses = False
        self.answering: Callable[[str], str] = lambda model: model
        self.before_load: Callable[[], None] = lambda: None
        self.unloaded: list[str] = []
        self.queue = 0
        self.asked: list[CompletionRequest] = []

    def restart(self) -> None:
        """Come back up with no adapter, as vLLM does."""
        self.adapters.clear()
        self.down = False

    async def complete(self, request: CompletionRequest, deadline: Deadline) -> CompletionResult:
        """Return a verdict whose expectation is the model's score on every dimension."""
        self._answer()
        self.asked.append(request)
        model = self.answering(request.model)
        if model not in (self.base_model, *self.adapters):
            raise EngineUnavailable("the model server does not serve the model that was asked for")
        score = self.adapters.get(model, BASE_SCORE)
        ids = request.allowed_token_ids or ()
        low = min(int(score), len(ids) - 1)
        high_share = score - low
        position = dict.fromkeys(ids, _NEVER)
        position[ids[low - 1]] = math.log(max(1.0 - high_share, 1e-9))
        position[ids[low]] = math.log(max(high_share, 1e-9))
        tokens = (ids[low - 1],) * len(DIMENSIONS)
        choice = Choice("", tokens, (position,) * len(DIMENSIONS), "length")
        return CompletionResult((choice,), Usage(100, len(tokens)))

    async def models(self, deadline: Deadline) -> tuple[str, ...]:
        """Return what it serves."""
        self._answer()
        return (self.base_model, *self.adapters)

    async def waiting(self, deadline: Deadline) -> int:
        """Return the length of its queue."""
        self._answer()
        return self.queue

    async def load_adapter(self, name: str, path: str, deadline: Deadline) -> None:
        """Load a folder: its score is that of its first golden case."""
        self.before_load()
        self._answer()
        if self.refuses:
            raise EngineMalformed("the model server cannot use the adapter: rank 64 is greater than max_lora_rank 16")
        if name in self.adapters:
            raise Conflict("already loaded")
        first = (Path(path) / GOLDEN_FILE).read_text("utf-8").splitlines()[0]
        self.adapters[name] = GoldenCase.model_validate_json(first).scores[DIMENSIONS[0]]

    async def unload_adapter(self, name: str, deadline: Deadline) -> None:
        """Unload."""
        self._answer()
        if self.adapters.pop(name, None) is None:
            raise NotFound("no such adapter")
        self.unloaded.append(name)

    def _answer(self) -> None:
        if self.down:
            raise EngineUnavailable("the model server does not answer")
