"""Golden cases put to a judge: the verdict, its calibrated scores, and how far they are from those at packaging.

The canary proves a checkpoint with them before it serves; the sentinels ask them again while it does.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from judge_service.judgment import StoredVerdict
from judge_service.scoring import render, score
from judge_service.served import ServedJudge
from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.contracts.conversation import turns_of
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.deadline import Deadline
from services.llm.port import LLM
from services.rubric.verdict import LevelDistribution

Scores = Mapping[Dimension, float]


@dataclass(frozen=True, slots=True)
class GoldenAnswer:
    """What one golden case got: the verdict, its calibrated scores, and how long it took."""

    verdict: StoredVerdict
    scores: Scores
    seconds: float

    def misses(self, expected: Scores) -> Scores:
        """Return by how much each dimension is off (levels)."""
        return {name: abs(self.scores[name] - expected[name]) for name in DIMENSIONS}

    def miss(self, expected: Scores) -> float:
        """Return by how much the worst dimension is off (levels)."""
        return max(self.misses(expected).values())


async def ask(
    engine: LLM, judge: ServedJudge, case: GoldenCase, timeout_s: float, *, kind: str, priority: int = 0
) -> GoldenAnswer:
    """Put one golden case to a judge; `kind` labels the engine's metrics, a `priority` above 0 lets others go first.

    Raises:
        InvalidInput: the case does not fit the model's window.
        EngineUnavailable, EngineMalformed, Overloaded, DeadlineExceeded: there is no verdict.
    """
    prompt = await render(judge, turns_of(case.context), case.response)
    began_s = time.perf_counter()
    verdict = await score(engine, judge, prompt, Deadline.after(timeout_s), kind=kind, priority=priority)
    return GoldenAnswer(verdict, scores_of(verdict, judge.calibration), time.perf_counter() - began_s)


async def ask_again(
    attempts: int,
    engine: LLM,
    judge: ServedJudge,
    case: GoldenCase,
    timeout_s: float,
    *,
    kind: str,
    priority: int = 0,
) -> GoldenAnswer:
    """Return the first answer within the case's tolerance, else the last of `attempts`; raises as `ask`."""
    for _ in range(attempts - 1):
        given = await ask(engine, judge, case, timeout_s, kind=kind, priority=priority)
        if given.miss(case.scores) <= case.tolerance:
            return given
    return await ask(engine, judge, case, timeout_s, kind=kind, priority=priority)


def scores_of(verdict: StoredVerdict, calibration: Calibration) -> Scores:
    """Return the calibrated score of each dimension."""
    return {
        name: calibration.dimensions[name].apply(LevelDistribution(probabilities)).score
        for name, probabilities in zip(DIMENSIONS, verdict.distributions, strict=True)
    }
