"""The Therapist: N rewrites that follow a plan and differ on purpose.

Candidates take the plans in turn. Each has its own rung of the temperature ladder, stresses another deficient
dimension, and draws with a seed derived from the input, so that a repeat gives the same candidates. All are sent at
once: the engine batches them.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agent_service.roles.speaker import RoleModel, Sampling, Speaker
from services.deadline import Deadline
from services.errors import ServiceError
from services.roles.errors import Unparseable
from services.roles.parsing import parse_rewrite
from services.roles.prompts import Role, RoleInput, RolePrompts


@dataclass(frozen=True, slots=True)
class TemperatureLadder:
    """Temperatures from the most careful candidate to the boldest."""

    lowest: float
    highest: float
    top_p: float

    def rung(self, index: int, count: int) -> float:
        """Return the temperature of candidate `index` of `count`."""
        step = (self.highest - self.lowest) / max(1, count - 1)
        return round(self.lowest + step * index, 3)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One candidate as the model wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class NoRewrite:
    """One candidate that is none: unusable output (`unusable` says how), or an engine that failed (`error`)."""

    unusable: str | None
    error: ServiceError | None


class Therapist:
    """Plays the Therapist."""

    def __init__(self, speaker: Speaker, prompts: RolePrompts, model: RoleModel, ladder: TemperatureLadder) -> None:
        self._speaker = speaker
        self._prompts = prompts
        self._model = model
        self._ladder = ladder

    async def rewrite(
        self, case: RoleInput, plans: Sequence[Sequence[str]], count: int, seed: int, deadline: Deadline
    ) -> list[Rewrite | NoRewrite]:
        """Return `count` candidates or the reason for each that is missing, in the ladder's order."""
        return list(
            await asyncio.gather(
                *(self._one(case, plans[i % len(plans)], i, count, seed, deadline) for i in range(count))
            )
        )

    async def _one(
        self, case: RoleInput, plan: Sequence[str], index: int, count: int, seed: int, deadline: Deadline
    ) -> Rewrite | NoRewrite:
        emphasis = case.deficient[index % len(case.deficient)]
        prompt = self._prompts.therapist(case, self._model.style, plan, emphasis)
        sampling = Sampling(self._ladder.rung(index, count), self._ladder.top_p, seed + index)
        try:
            spoken = await self._speaker.speak(Role.THERAPIST, self._model, prompt, sampling, deadline)
            return Rewrite(parse_rewrite(spoken.text, spoken.finish_reason))
        except Unparseable as error:
            return NoRewrite(unusable=str(error), error=None)
        except ServiceError as error:
            return NoRewrite(unusable=None, error=error)


def seed_of(parts: Sequence[str]) -> int:
    """Return a seed that depends on the input alone, with room for the candidates' own offsets."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") % 2**30
