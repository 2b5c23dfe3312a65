"""The Critic: what is wrong with a reply in each deficient dimension, quoting it."""

from dataclasses import dataclass

from agent_service.roles.speaker import RoleModel, Sampling, Speaker
from services.contracts.refine import Critique
from services.deadline import Deadline
from services.errors import DeadlineExceeded, ServiceError
from services.roles.anchors import anchored_finding
from services.roles.errors import Unparseable
from services.roles.parsing import parse_critique
from services.roles.prompts import Role, RoleInput, RolePrompts
from services.rubric.rubric import Rubric


@dataclass(frozen=True, slots=True)
class CritiqueOutcome:
    """What the Critic said, and what the Coach is told.

    Attributes:
        said: the Critic's own findings; empty when there was nothing usable.
        told: one finding per deficient dimension; where the Critic has none, the rubric's anchors speak.
        notes: what went wrong: `critic_unparseable`, `critic_partial`, `critic_late`, `critic_unavailable`.
    """

    said: tuple[Critique, ...]
    told: tuple[Critique, ...]
    notes: tuple[str, ...]


class Critic:
    """Plays the Critic."""

    def __init__(self, speaker: Speaker, prompts: RolePrompts, model: RoleModel, rubric: Rubric) -> None:
        self._speaker = speaker
        self._prompts = prompts
        self._model = model
        self._rubric = rubric

    async def review(self, case: RoleInput, seed: int, deadline: Deadline) -> CritiqueOutcome:
        """Return the critique; whatever goes wrong is noted and survived."""
        said, notes = await self._findings(case, seed, deadline)
        named = {item.dimension: item for item in said}
        told = tuple(named.get(name) or anchored_finding(self._rubric, name) for name in case.deficient)
        if said and len(said) < len(told):
            notes = (*notes, "critic_partial")
        return CritiqueOutcome(said, told, notes)

    async def _findings(
        self, case: RoleInput, seed: int, deadline: Deadline
    ) -> tuple[tuple[Critique, ...], tuple[str, ...]]:
        prompt = self._prompts.critic(case, self._model.style)
        sampling = Sampling(temperature=0.0, top_p=1.0, seed=seed)
        try:
            spoken = await self._speaker.speak(Role.CRITIC, self._model, prompt, sampling, deadline)
            return parse_critique(spoken.text, case.deficient, case.draft), ()
        except Unparseable:
            return (), ("critic_unparseable",)
        except DeadlineExceeded:
            return (), ("critic_late",)
        except ServiceError:
            return (), ("critic_unavailable",)
