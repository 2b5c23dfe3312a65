"""The Coach: at most a few concrete changes that would mend what the Critic found."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_service.roles.speaker import RoleModel, Sampling, Speaker
from services.contracts.refine import Critique
from services.deadline import Deadline
from services.errors import DeadlineExceeded, ServiceError
from services.roles.anchors import anchored_changes
from services.roles.errors import Unparseable
from services.roles.parsing import parse_plan
from services.roles.prompts import Role, RoleInput, RolePrompts
from services.rubric.rubric import Rubric


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """What the Coach said, and what the Therapist is told.

    Attributes:
        said: the Coach's own changes; empty when there was nothing usable.
        plans: the changes to follow, at least one plan; candidates take them in turn. The Coach's own comes first, then
            what the rubric calls strong in the weakest dimensions: a small Coach often says the same to everybody.
        notes: what went wrong: `coach_unparseable`, `coach_late`, `coach_unavailable`.
    """

    said: tuple[str, ...]
    plans: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


class Coach:
    """Plays the Coach."""

    def __init__(
        self, speaker: Speaker, prompts: RolePrompts, model: RoleModel, rubric: Rubric, *, max_changes: int
    ) -> None:
        self._speaker = speaker
        self._prompts = prompts
        self._model = model
        self._rubric = rubric
        self._max_changes = max_changes

    async def plan(self, case: RoleInput, critique: Sequence[Critique], seed: int, deadline: Deadline) -> PlanOutcome:
        """Return the plan; whatever goes wrong is noted and survived."""
        prompt = self._prompts.coach(case, self._model.style, critique)
        sampling = Sampling(temperature=0.0, top_p=1.0, seed=seed)
        note: str
        try:
            spoken = await self._speaker.speak(Role.COACH, self._model, prompt, sampling, deadline)
            said = parse_plan(spoken.text, self._max_changes)
        except Unparseable:
            note = "coach_unparseable"
        except DeadlineExceeded:
            note = "coach_late"
        except ServiceError:
            note = "coach_unavailable"
        else:
            return PlanOutcome(said, (said, self._anchored(case)), ())
        return PlanOutcome((), (self._anchored(case),), (note,))

    def _anchored(self, case: RoleInput) -> tuple[str, ...]:
        return anchored_changes(self._rubric, case.deficient[: self._max_changes])
