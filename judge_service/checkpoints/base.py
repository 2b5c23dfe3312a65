"""The judge of last resort: the bare base model, uncalibrated, serving until a trained checkpoint is active.

Its answers say so: their `checkpoint` is `base:<fingerprint>`.
"""

from judge_service.rationale import explainer
from judge_service.served import ServedJudge
from judge_service.settings import ModelSettings
from services.checkpoint.calibration import Calibration
from services.deadline import Deadline
from services.errors import EngineUnavailable
from services.llm.port import Adapters
from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.rubric import Rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer

_LABEL_DIGITS = 12


class BaseJudge:
    """Knows how to judge with the base model."""

    def __init__(
        self,
        model: ModelSettings,
        tokenizer: PromptTokenizer,
        served_name: str | None,
        engine: Adapters,
        rubric: Rubric,
    ) -> None:
        self._served_name = served_name
        self._engine = engine
        self._fingerprint = model.fingerprint
        template = PromptTemplate()
        self._renderer = ScoringPromptRenderer(tokenizer, rubric, template, window_tokens=model.window_tokens)
        self._explainer = explainer(tokenizer, rubric, template, window_tokens=model.window_tokens)
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
            explainer=self._explainer,
        )
