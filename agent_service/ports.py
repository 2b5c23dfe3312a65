"""What the loop needs from the outside besides a language model: a judge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.contracts.conversation import Turn
from services.contracts.evaluate import Evaluation
from services.contracts.refine import RefineEvent
from services.deadline import Deadline
from services.errors import ServiceError

Emit = Callable[[RefineEvent], None]
"""Told of each stage as it happens. Never blocks and never raises."""


@dataclass(frozen=True, slots=True)
class JudgeFailure:
    """Why one reply has no judgment."""

    error: ServiceError


class Judge(Protocol):
    """Scores replies."""

    async def evaluate(self, turns: tuple[Turn, ...], response: str, deadline: Deadline) -> Evaluation:
        """Return the judgment of one reply.

        Raises:
            InvalidInput: the judge cannot take the reply (it does not fit its window).
            DeadlineExceeded: time ran out.
            Overloaded, DependencyUnavailable: the judge does not answer.
        """
        ...

    async def evaluate_many(
        self, turns: tuple[Turn, ...], responses: Sequence[str], deadline: Deadline
    ) -> list[Evaluation | JudgeFailure]:
        """Return one judgment or failure per reply, in the order given; all are judged at once. Raises nothing."""
        ...
