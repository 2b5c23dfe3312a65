"""When a request to the engine is sent again: a few times, spread by jitter, and only within a budget.

The budget keeps an engine in trouble from being asked several times as often: each request earns a fraction of a retry.
"""

import random
from dataclasses import dataclass

from services.deadline import Deadline


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` in all; the wait before the k-th retry is uniform in [0, first_wait_s * 2**k] (full jitter)."""

    attempts: int = 3
    first_wait_s: float = 0.1
    earned_per_request: float = 0.1
    largest_budget: float = 10.0


class RetryBudget:
    """The retries that are left to spend."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._left = policy.largest_budget

    def earn(self) -> None:
        """Note one first attempt."""
        self._left = min(self._policy.largest_budget, self._left + self._policy.earned_per_request)

    def wait_before_retry_s(self, retries_done: int, deadline: Deadline) -> float | None:
        """Return how long to wait before the next attempt, or None when there is to be none."""
        wait_s = random.uniform(0, self._policy.first_wait_s * 2**retries_done)  # noqa: S311  jitter is no secret
        if retries_done + 1 >= self._policy.attempts or self._left < 1 or wait_s >= deadline.remaining_s():
            return None
        self._left -= 1
        return wait_s
