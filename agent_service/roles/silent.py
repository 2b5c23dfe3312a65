"""A Critic and a Coach that say nothing: the rubric's anchors speak. What the loop is without the one or the other."""

from collections.abc import Sequence

from agent_service.roles.coach import PlanOutcome
from agent_service.roles.critic import CritiqueOutcome
from services.contracts.refine import Critique
from services.deadline import Deadline
from services.roles.anchors import anchored_changes, anchored_finding
from services.roles.prompts import RoleInput
from services.rubric.rubric import Rubric


class SilentCritic:
    """Finds nothing of its own."""

    def __init__(self, rubric: Rubric) -> None:
        self._rubric = rubric

    async def review(self, case: RoleInput, seed: int, deadline: Deadline) -> CritiqueOutcome:
        """Return the anchors of the deficient dimensions."""
        return CritiqueOutcome((), tuple(anchored_finding(self._rubric, name) for name in case.deficient), ())


class SilentCoach:
    """Plans nothing of its own."""

    def __init__(self, rubric: Rubric, *, max_changes: int) -> None:
        self._rubric = rubric
        self._max_changes = max_changes

    async def plan(self, case: RoleInput, critique: Sequence[Critique], seed: int, deadline: Deadline) -> PlanOutcome:
        """Return what the rubric calls strong in the weakest dimensions."""
        return PlanOutcome((), (anchored_changes(self._rubric, case.deficient[: self._max_changes]),), ())
