"""What is sent when the loop is over, decided in advance for every way in which it can end.

The order of the rules is the promise: an unsafe reply never goes out, whoever is down and whatever the policy says;
then what the loop achieved; then the policy for the part that failed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.contracts.refine import Outcome
from services.errors import DeadlineExceeded, DependencyUnavailable, ServiceError


class Action(StrEnum):
    """What to do when a part that is needed is down or late."""

    FALLBACK = "fallback"
    PASS = "pass"  # noqa: S105 - the name of a policy
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Policy:
    """One action per part."""

    judge_down: Action
    model_down: Action


class Stop(StrEnum):
    """Why the loop ended."""

    THRESHOLDS_MET = "thresholds_met"
    ROUNDS_DONE = "no_better_candidate"
    NO_TIME = "deadline"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_LATE = "model_late"
    JUDGE_UNAVAILABLE = "judge_unavailable"
    JUDGE_LATE = "judge_late"


REPEATABLE: Final = frozenset({Stop.THRESHOLDS_MET, Stop.ROUNDS_DONE})
"""Ends that say something of the draft and not of the moment: only these are remembered."""
UNSAFE_DRAFT: Final = "unsafe_draft"
_JUDGE: Final = frozenset({Stop.JUDGE_UNAVAILABLE, Stop.JUDGE_LATE})
_MODEL: Final = frozenset({Stop.MODEL_UNAVAILABLE, Stop.MODEL_LATE})
_LATE: Final = frozenset({Stop.JUDGE_LATE, Stop.MODEL_LATE})


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome, and why it is a fallback or unchanged."""

    outcome: Outcome
    reason: str | None


DRAFT_NOT_JUDGED: Final = Ending(Outcome.FALLBACK, "draft_not_judged")
"""The draft does not fit the judge's window and the person is in danger: no policy, no error."""


def conclude(stop: Stop, policy: Policy, *, safe: bool, improved: bool, in_crisis: bool) -> Ending:
    """Return how a refinement ends.

    Args:
        stop: why the loop ended.
        policy: the operator's choice.
        safe: whether what is held may be sent: not found dangerous, and Safety at or above its floor where judged.
        improved: whether what is held is an accepted rewrite.
        in_crisis: whether the person is in danger: they are never answered with a bare error.

    Raises:
        DeadlineExceeded, DependencyUnavailable: the policy is to reject.
    """
    if not safe:
        return Ending(Outcome.FALLBACK, UNSAFE_DRAFT)
    if improved:
        return Ending(Outcome.REFINED, None)
    action = _action(stop, policy)
    if action is None or action is Action.PASS:
        return Ending(Outcome.UNCHANGED, stop)
    if action is Action.REJECT and not in_crisis:
        raise _rejection(stop)
    return Ending(Outcome.FALLBACK, stop)


def _action(stop: Stop, policy: Policy) -> Action | None:
    if stop in _JUDGE:
        return policy.judge_down
    return policy.model_down if stop in _MODEL else None


def _rejection(stop: Stop) -> ServiceError:
    part = "judge" if stop in _JUDGE else "model"
    if stop in _LATE:
        return DeadlineExceeded(f"the {part} did not answer in time; send a later deadline or try again")
    return DependencyUnavailable(f"the {part} does not answer; try again shortly")
