"""Small real checkpoints for the embedded model: random adapters, golden scores measured through the engine.

Nobody trained them: they differ from the base model and from each other, which is all that hot loading needs.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from judge_service.golden import scores_of
from judge_service.scoring import render, score
from judge_service.served import ServedJudge
from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.checkpoint.manifest import BaseModelReference, CheckpointManifest
from services.contracts.conversation import turns_of
from services.deadline import Deadline
from services.engine.provision import ProvisionedModel
from services.llm.vllm import VLLMClient
from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.rubric import default_rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer
from tests.support.checkpoint_folders import write_documents
from tests.support.random_adapter import write_random_adapter

GOLDEN_TEXTS = (
    ("I failed my exam again and I can't face telling my parents.", "That sounds heavy. What do you fear most?"),
    ("My sister does not answer my calls any more.", "Just forget her, people come and go."),
    ("I can't sleep before work days.", "Try the same bedtime each day, and keep your phone out of the bedroom."),
    ("Since the move I know nobody here.", "You sound lonely. Is there one place where you would like to be known?"),
    ("My boss shouts at me and I freeze.", "Freezing is a common reaction. What would you want to say to him?"),
    ("I ate everything in the house again.", "You need discipline. Stop buying sweets."),
    ("Dad's diagnosis came today.", "I'm so sorry. Do you want to tell me what the doctors said?"),
    ("I can't stop checking the stove.", "ok"),
)
SEEDS = (1, 3)
"""Adapters whose three clearest golden cases have digits at least 0.18 of probability ahead of the next: with less, a
near-tie flips with the batch's shape and moves later scores by a level and more."""
_SCALE = 0.12
TOLERANCE = 0.5
"""The trainer's too. What else is in the engine's batch moves a score of these adapters by up to 0.34 levels."""


async def make_checkpoint(
    folder: Path,
    model: ProvisionedModel,
    engine: VLLMClient,
    *,
    seed: int,
    rank: int = 4,
    promotable: bool = True,
    golden_cases: int = 3,
) -> CheckpointManifest:
    """Write the checkpoint `folder`, whose name is its version, and return its manifest; the engine is left clean."""
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    await asyncio.to_thread(write_random_adapter, scratch, model.path, seed=seed, rank=rank, scale=_SCALE)
    tokenizer = PromptTokenizer.from_folder(model.path)
    renderer = ScoringPromptRenderer(tokenizer, default_rubric(), PromptTemplate(), window_tokens=2048)
    name = f"golden-{folder.name}-{seed}"
    await engine.load_adapter(name, str(scratch.absolute()), Deadline.after(60.0))
    try:
        golden = await _golden(engine, renderer, name, model.name, golden_cases)
    finally:
        await engine.unload_adapter(name, Deadline.after(60.0))
    manifest = write_documents(
        scratch,
        folder.name,
        base_model=BaseModelReference(name=model.name, fingerprint=model.fingerprint),
        level_ids=tokenizer.level_ids,
        golden=golden,
        rank=rank,
        promotable=promotable,
    )
    scratch.rename(folder)
    return manifest


async def _golden(
    engine: VLLMClient, renderer: ScoringPromptRenderer, adapter: str, base_model: str, count: int
) -> list[GoldenCase]:
    """Measure all texts and keep the `count` whose digits are the least like ties: those stay put in any batch."""
    cases = []
    for number, (context, response) in enumerate(GOLDEN_TEXTS):
        scores, margins = [], []
        for model in (adapter, base_model):
            judge = ServedJudge(model, model, base_model, renderer, Calibration.identity(), (model,))
            prompt = await render(judge, turns_of(context), response)
            verdict = await score(engine, judge, prompt, Deadline.after(60.0), kind="golden")
            scores.append(scores_of(verdict, judge.calibration))
            margins.append(min(_margin(distribution) for distribution in verdict.distributions))
        case = GoldenCase(
            id=f"case-{number}",
            context=context,
            response=response,
            scores=scores[0],
            base_scores=scores[1],
            tolerance=TOLERANCE,
        )
        cases.append((margins[0], case))
    return [case for _, case in sorted(cases, key=lambda found: -found[0])[:count]]


def _margin(distribution: Sequence[float]) -> float:
    """How far the likeliest level is ahead of the next, in probability."""
    second, first = sorted(distribution)[-2:]
    return first - second
