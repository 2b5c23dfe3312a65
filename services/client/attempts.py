"""When a call is sent again. One generator that does no I/O itself, driven by the sync and the async client alike.

It yields the seconds to wait before the next attempt; the driver sends back that attempt's response or throws in what
httpx raised. Sent again: problems that the service calls retryable, and broken connections (judging and refining change
nothing, so asking twice is safe). Each wait is jittered, at least the answer's Retry-After, and never beyond the
deadline; all calls of one client share one budget.
"""

from collections.abc import Generator

import httpx

from services.client.answers import error_of, transport_error
from services.client.calls import Call
from services.client.config import ClientConfig
from services.client.errors import ClientError, ProblemError
from services.llm.retry import RetryBudget

Attempts = Generator[float, httpx.Response, httpx.Response]


def attempts(call: Call, config: ClientConfig, budget: RetryBudget) -> Attempts:
    """Return the generator of one call; its value is the welcome response.

    Raises:
        ClientError: the last attempt's failure, when there is to be no other.
    """
    budget.earn()
    wait_s = 0.0
    retries_done = 0
    while True:
        cause: Exception | None = None
        try:
            response = yield wait_s
        except httpx.TransportError as failure:
            error, cause = transport_error(failure, call.url(config)), failure
        else:
            if response.status_code in call.ok_statuses:
                return response
            error = error_of(response)
        wait_s = _wait_s(error, retries_done, call, budget, cause)
        retries_done += 1


def _wait_s(error: ClientError, retries_done: int, call: Call, budget: RetryBudget, cause: Exception | None) -> float:
    """Return how long to wait before the next attempt, or raise `error` when there is to be none."""
    if not error.retryable:
        raise error from cause
    jitter_s = budget.wait_before_retry_s(retries_done, call.deadline)
    asked_s = error.retry_after_s if isinstance(error, ProblemError) else None
    wait_s = max(jitter_s or 0.0, asked_s or 0.0)
    if jitter_s is None or wait_s >= call.deadline.remaining_s():
        raise error from cause
    return wait_s
