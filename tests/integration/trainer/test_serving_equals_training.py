"""What the trainer measured is what the judge serves: one checkpoint on the trainer's forward pass and through vLLM."""

import asyncio
import json
from pathlib import Path
from typing import Final

import anyio
import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

import trainer
from judge_service.app import build_app
from judge_service.settings import CheckpointSettings
from services.checkpoint.calibration import Calibration
from services.contracts.conversation import Context, Turn, turns_of
from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import Evaluation
from tests.integration.judge_service.conftest import judge_settings
from tests.support.real_parts import RealEngine
from trainer.calibration.fit import apply_calibration
from trainer.training.config import ModelConfig
from trainer.training.model import JudgeModel, judge_model, load_base, load_renderer, most_likely, with_adapter
from trainer.training.token_tree import TokenPath

TRAINER: Final = Path(trainer.__file__).parent
REPLIES: Final = 48
TOLERANCE: Final = 0.35
"""Levels between the two, for any score of any reply: docs/judge.md says what was measured."""
DIGIT_TOLERANCE: Final = 0.35
"""Levels that a score moves at most, on average over replies, when the digits before it are others."""


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    """The newest released checkpoint, which the stack serves."""
    return max((TRAINER / "released").glob("judge-*"), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))


@pytest.fixture(scope="module")
def replies() -> list[tuple[tuple[Turn, ...], str]]:
    """Replies of the project's own, short and long, good and harmful."""
    context: TypeAdapter[str | tuple[Turn, ...]] = TypeAdapter(Context)
    found = []
    for file in sorted((TRAINER / "material").glob("*/*.jsonl")):
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            turns = turns_of(context.validate_python(row["context"], strict=False))
            found += [(turns, row[key]) for key in ("response", "better", "worse") if key in row]
    return found[:: len(found) // REPLIES][:REPLIES]


@pytest.fixture(scope="module")
def trained(engine: RealEngine, checkpoint: Path) -> JudgeModel:
    """The checkpoint as the trainer runs it."""
    config = ModelConfig(base=engine.model.path)
    causal = with_adapter(load_base(config), checkpoint).eval()
    return judge_model(causal, load_renderer(config).tokenizer.level_ids, torch.device("cpu"))


@pytest.fixture(scope="module")
def paths(engine: RealEngine, replies: list[tuple[tuple[Turn, ...], str]]) -> list[TokenPath]:
    """The replies' prompts."""
    renderer = load_renderer(ModelConfig(base=engine.model.path))
    prompts = [renderer.render(turns, reply) for turns, reply in replies]
    return [TokenPath(prompt.prefix_ids, prompt.suffix_ids) for prompt in prompts]


async def test_the_judge_serves_the_scores_that_the_trainer_measured(
    engine: RealEngine,
    checkpoint: Path,
    trained: JudgeModel,
    paths: list[TokenPath],
    replies: list[tuple[tuple[Turn, ...], str]],
) -> None:
    distributions = trained.decode(paths, most_likely).distributions.double()
    calibration = Calibration.model_validate_json((checkpoint / "calibration.json").read_bytes())
    expected, _, _ = apply_calibration(calibration, (distributions / distributions.sum(-1, keepdim=True)).numpy())

    served = await _served(engine, checkpoint, replies)

    assert np.abs(served - expected).max() <= TOLERANCE


def test_no_score_hangs_on_the_digits_before_it(trained: JudgeModel, paths: list[TokenPath]) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.arange(1, 6, dtype=torch.float32)
    one, other = torch.randint(1, 6, (2, len(paths), len(DIMENSIONS)), generator=generator)

    with torch.no_grad():
        first, second = (trained.teacher_forced(paths, digits).softmax(dim=-1) @ levels for digits in (one, other))

    assert float((first - second).abs().mean(dim=0).max()) <= DIGIT_TOLERANCE


async def _served(
    engine: RealEngine, checkpoint: Path, replies: list[tuple[tuple[Turn, ...], str]]
) -> NDArray[np.float64]:
    """Return the scores that a judge with this checkpoint active answers, (replies, 7)."""
    app = build_app(judge_settings(engine, checkpoints=CheckpointSettings(folder=checkpoint.parent)))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://judge", timeout=110.0) as client:
            with anyio.fail_after(300):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - the judge is asked over HTTP
                    await anyio.sleep(0.5)
            answers = await asyncio.gather(*(_evaluated(client, turns, reply) for turns, reply in replies))
    assert all(answer.checkpoint.startswith(f"{checkpoint.name}-") for answer in answers)
    return np.array([[answer.scores[name].score for name in DIMENSIONS] for answer in answers])


async def _evaluated(client: httpx.AsyncClient, turns: tuple[Turn, ...], reply: str) -> Evaluation:
    context = [turn.model_dump(mode="json") for turn in turns]
    answer = await client.post("/evaluate", json={"context": context, "response": reply})
    assert answer.status_code == 200, answer.text
    return Evaluation.model_validate_json(answer.content)
