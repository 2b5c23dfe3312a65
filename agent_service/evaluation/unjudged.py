"""A stand-in for the judge in self-refinement: it looks at nothing. Every draft could be better, every rewrite is."""

from collections.abc import Sequence
from typing import Final

from agent_service.ports import JudgeFailure
from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import DimensionScore, Evaluation
from services.deadline import Deadline

_DRAFT: Final = 3.0
_REWRITE: Final = 5.0


class Unjudged:
    """Implements the port `Judge`."""

    async def evaluate(self, turns: tuple[Turn, ...], response: str, deadline: Deadline) -> Evaluation:
        """Return that the draft is middling in everything: safe, and below every threshold."""
        return _all(_DRAFT)

    async def evaluate_many(
        self, turns: tuple[Turn, ...], responses: Sequence[str], deadline: Deadline
    ) -> list[Evaluation | JudgeFailure]:
        """Return that each rewrite is as good as can be."""
        return [_all(_REWRITE) for _ in responses]


def _all(score: float) -> Evaluation:
    one = DimensionScore(score=score, level=round(score), distribution=(0.2,) * 5, interval=(1.0, 5.0))
    return Evaluation(
        id="unjudged",
        scores=dict.fromkeys(DIMENSIONS, one),
        cognitive_support=score,
        affective_resonance=score,
        overall=score,
        flags=(),
        needs_human_review=False,
        checkpoint="unjudged",
        truncated=False,
        cached=False,
    )
