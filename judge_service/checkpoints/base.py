"""The judge of last resort: the bare base model, uncalibrated, serving until a trained checkpoint is active.

Its answers say so: their `checkpoint` is `base:<fingerprint>`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from judge_service.checkpoints.active import ActiveJudge
from judge_service.served import ServedJudge
from judge_service.settings import ModelSettings
from services.checkpoint.calibration import Calibration
from services.deadline import Deadline
from services.errors import EngineUnavailable, ServiceError
from services.llm.port import Adapters
from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.rubric import Rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer

_RETRY_S = 1.0
_LABEL_DIGITS = 12
_log = structlog.get_logger(__name__)


class BaseJudge:
    """Knows how to judge with the base model."""

    def __init__(self, model: ModelSettings, served_name: str | None, engine: Adapters, rubric: Rubric) -> None:
        """Read the tokenizer.

        Raises:
            TokenizerUnusable: the model's tokenizer cannot serve the seven-token method.
        """
        self._served_name = served_name
        self._engine = engine
        self._fingerprint = model.fingerprint
        template = PromptTemplate()
        tokenizer = PromptTokenizer.from_folder(Path(model.folder))
        self._renderer = ScoringPromptRenderer(tokenizer, rubric, template, window_tokens=model.window_tokens)
        self._identity = (model.fingerprint, rubric.digest, template.digest, str(model.window_tokens))

    async def load(self, deadline: Deadline) -> ServedJudge:
        """Return the base judge under the name by which the engine serves the model.

        Raises:
            EngineUnavailable: the engine does not answer, or serves no such model.
        """
        models = await self._engine.models(deadline)
        name = self._served_name or next(iter(models), None)
        if name is None or name not in models:
            raise EngineUnavailable(f"the engine serves {', '.join(models) or 'nothing'}, not {self._served_name}")
        return ServedJudge(
            label=f"base:{self._fingerprint[:_LABEL_DIGITS]}",
            model=name,
            base_model=name,
            renderer=self._renderer,
            calibration=Calibration.identity(),
            identity=("base", *self._identity),
        )

    @asynccontextmanager
    async def activated_when_engine_answers(self, judges: ActiveJudge) -> AsyncIterator[None]:
        """Run the block; meanwhile switch `judges` to the base judge as soon as the engine answers."""
        task = asyncio.create_task(self._activate(judges))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _activate(self, judges: ActiveJudge) -> None:
        waiting = False
        while judges.current is None:
            try:
                judges.switch(await self.load(Deadline.after(5.0)))
            except ServiceError as error:
                if not waiting:
                    _log.warning("engine_awaited", detail=error.detail)
                waiting = True
                await asyncio.sleep(_RETRY_S)
            else:
                _log.info("base_judge_active", fingerprint=self._fingerprint[:_LABEL_DIGITS])
