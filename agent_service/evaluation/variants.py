"""The full loop and what it is compared with: each variant is the same pipeline with something taken out."""

from dataclasses import dataclass
from enum import StrEnum

from services.roles.prompts import Role


class Variant(StrEnum):
    """What is run over the drafts."""

    FULL = "full"
    NO_CRITIC = "no_critic"
    NO_COACH = "no_coach"
    BEST_OF_N = "best_of_n"
    ONE_CANDIDATE = "one_candidate"
    SELF_REFINE = "self_refine"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a variant is made of.

    Attributes:
        says: in words, for the report.
        silent: roles for which the rubric's anchors stand in.
        rounds: at most; None: as many as the full loop.
        candidates: per round; None: as many as the full loop.
        judged: whether a judge steers; without one the first rewrite that passes the text checks is taken.
    """

    says: str
    silent: frozenset[Role] = frozenset()
    rounds: int | None = None
    candidates: int | None = None
    judged: bool = True


PLANS: dict[Variant, Plan] = {
    Variant.FULL: Plan("Critic, Coach and Therapist under the judge's control"),
    Variant.NO_CRITIC: Plan("the rubric's anchors instead of the Critic", frozenset({Role.CRITIC})),
    Variant.NO_COACH: Plan("the rubric's anchors instead of the Coach", frozenset({Role.COACH})),
    Variant.BEST_OF_N: Plan(
        "the Therapist with the rubric's anchors, the judge's best of N, one round",
        frozenset({Role.CRITIC, Role.COACH}),
        rounds=1,
    ),
    Variant.ONE_CANDIDATE: Plan("the full loop with one rewrite a round", candidates=1),
    Variant.SELF_REFINE: Plan(
        "Critic, Coach and one rewrite, taken without a judge if the text checks let it pass",
        rounds=1,
        candidates=1,
        judged=False,
    ),
}
