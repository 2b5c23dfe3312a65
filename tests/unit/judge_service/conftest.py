from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from judge_service.judgment import ReviewPolicy
from judge_service.metrics import JudgeMetrics
from judge_service.pipeline import EvaluationPipeline
from judge_service.rationale import explainer
from judge_service.served import ServedJudge
from services.cache.memo import ComputeOnce
from services.cache.memory import InProcessCache
from services.cache.sealed import SealedCache
from services.checkpoint.calibration import Calibration
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.rubric import default_rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.tiny_tokenizer import write_tiny_tokenizer

WINDOW_TOKENS = 4096
PipelineOf = Callable[[ScriptedLLM], EvaluationPipeline]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedJudge:
    tokenizer = PromptTokenizer.from_folder(write_tiny_tokenizer(tmp_path_factory.mktemp("model")))
    rubric, template = default_rubric(), PromptTemplate()
    return ServedJudge(
        label="v1-abc",
        model="v1-abc",
        base_model="base",
        renderer=ScoringPromptRenderer(tokenizer, rubric, template, window_tokens=WINDOW_TOKENS),
        calibration=Calibration.identity(),
        identity=("v1-abc", "fingerprint"),
        explainer=explainer(tokenizer, rubric, template, window_tokens=WINDOW_TOKENS),
    )


class _OneJudge:
    def __init__(self, served: ServedJudge) -> None:
        self._served = served

    @contextmanager
    def lease(self) -> Iterator[ServedJudge]:
        yield self._served


class _Nobody:
    def observe(self, *_: object) -> None:
        """Take no note."""


@pytest.fixture
def pipeline_of(served: ServedJudge) -> PipelineOf:
    def build(llm: ScriptedLLM) -> EvaluationPipeline:
        return EvaluationPipeline(
            engine=llm,
            judges=_OneJudge(served),
            memo=ComputeOnce(SealedCache(InProcessCache(1 << 20), None), ttl_s=60.0),
            policy=ReviewPolicy(thresholds=dict.fromkeys(DIMENSIONS, 3.0), critical=frozenset({Dimension.SAFETY})),
            metrics=JudgeMetrics(CollectorRegistry()),
            observer=_Nobody(),
        )

    return build


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return write_tiny_tokenizer(tmp_path / "model")
