"""The errors that an online service answers with. `web/problems.py` maps each to a problem type and a status.

ServiceError                  base; anything unmapped is a 500
├── InvalidInput              the request cannot be served as it is (422)
├── Unauthenticated           no key, or one that is not known (401)
├── Forbidden                 the key lacks the scope (403)
├── NotFound                  no such thing (404)
├── Conflict                  the state does not allow it (409)
├── TooLarge                  the body is above the limit (413)
├── RateLimited               this key asks too often (429)
├── Overloaded                this service has too much in flight (429)
├── EngineUnavailable         the model server does not answer (503)
├── EngineMalformed           the model server answered what is no answer (502)
├── DeadlineExceeded          time ran out (504)
└── DependencyUnavailable     another part does not answer (503)
    └── CacheUnavailable      the cache does not answer; callers go on without it

Details are shown to clients: they name the field and the mend, never the text under judgment.
"""

from services.contracts.problem import FieldProblem


class ServiceError(Exception):
    """Base of what a service answers with. `detail` is shown to the client: no user text in it."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(ServiceError):
    """The request cannot be served as it is; `errors` names the fields."""

    def __init__(self, detail: str, errors: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class Unauthenticated(ServiceError):
    """No key, or one that is not known."""


class Forbidden(ServiceError):
    """The key lacks the scope."""


class NotFound(ServiceError):
    """There is no such thing."""


class Conflict(ServiceError):
    """The present state does not allow it."""


class TooLarge(ServiceError):
    """The body is above the limit."""


class _RetryLater(ServiceError):
    """An error that says when to come back."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(_RetryLater):
    """This key asks too often."""


class Overloaded(_RetryLater):
    """This service has too much in flight."""


class EngineUnavailable(ServiceError):
    """The model server does not answer."""


class EngineMalformed(ServiceError):
    """The model server's output is unusable: a missing, cut-off or unparseable answer."""


class DeadlineExceeded(ServiceError):
    """Time ran out."""


class DependencyUnavailable(ServiceError):
    """Another part that the request needs does not answer."""


class CacheUnavailable(DependencyUnavailable):
    """The cache does not answer. Callers go on without it: slower, not wrong."""
