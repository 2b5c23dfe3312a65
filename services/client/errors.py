"""What a call to the judge or the agent can fail with.

ClientError                 base; `retryable` says whether the same call may succeed later
├── ProblemError            the service answered with a problem, kept in `problem`
│   ├── Unauthenticated     401: no key, or an unknown one
│   ├── Forbidden           403: the key lacks the scope
│   ├── NotFound            404
│   ├── Conflict            409
│   ├── TooLarge            413: the body is above the limit
│   ├── InvalidRequest      422: `problem.errors` names the fields
│   ├── RateLimited         429: this key asks too often
│   ├── Overloaded          429: the service has too much in flight
│   ├── Unavailable         502 and 503: the model server or another part is down or answered nonsense
│   └── TimedOut            504: the service ran out of time
├── Unreachable             nothing answers at the address, or the connection broke
├── DeadlineExceeded        the caller's deadline passed before there was an answer
└── MalformedAnswer         the answer is not what the contract promises, or the stream ended early

No message holds text under judgment.
"""

from typing import Final

from services.contracts.problem import Problem


class ClientError(Exception):
    """Base of what a call can fail with."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return False


class ProblemError(ClientError):
    """The service answered with a problem."""

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        fields = "".join(f"; {item.field}: {item.detail}" for item in problem.errors)
        super().__init__(f"{problem.title}: {problem.detail}{fields}")
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def retryable(self) -> bool:
        """Whether the service says that the same call may succeed later."""
        return self.problem.retryable


class Unauthenticated(ProblemError):
    """No key, or one that is not known."""


class Forbidden(ProblemError):
    """The key lacks the scope."""


class NotFound(ProblemError):
    """There is no such thing."""


class Conflict(ProblemError):
    """The present state does not allow it."""


class TooLarge(ProblemError):
    """The body is above the limit."""


class InvalidRequest(ProblemError):
    """The request is not valid; `problem.errors` names the fields."""


class RateLimited(ProblemError):
    """This key asks too often."""


class Overloaded(ProblemError):
    """The service has too much in flight."""


class Unavailable(ProblemError):
    """A part that the service needs is down, or answered nonsense."""


class TimedOut(ProblemError):
    """The service ran out of time."""


class Unreachable(ClientError):
    """Nothing answers at the address, or the connection broke."""

    @property
    def retryable(self) -> bool:
        """Always: judging and refining change nothing, so both may be asked twice."""
        return True


class DeadlineExceeded(ClientError):
    """The caller's deadline passed before there was an answer."""


class MalformedAnswer(ClientError):
    """The answer is not what the contract promises."""


_BY_STATUS: Final[dict[int, type[ProblemError]]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidRequest,
    429: Overloaded,
    502: Unavailable,
    503: Unavailable,
    504: TimedOut,
}
_RATE_LIMITED: Final = "urn:theraloop:problem:rate-limited"


def problem_error(problem: Problem, retry_after_s: float | None = None) -> ProblemError:
    """Return the error that tells of `problem`."""
    kind = RateLimited if problem.type == _RATE_LIMITED else _BY_STATUS.get(problem.status, ProblemError)
    return kind(problem, retry_after_s)
