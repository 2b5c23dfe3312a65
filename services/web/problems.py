"""How an error becomes an answer: one table from error to problem type, title, status and whether to try again.

Every error answer of every service is made here, in RFC 9457 problem+json. Input is never echoed: of a validation error
only the field's path and the rule's message are told.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services import errors
from services.contracts.problem import FieldProblem, Problem
from services.web.request_id import request_id_of

MEDIA_TYPE: Final = "application/problem+json"
_URN: Final = "urn:theraloop:problem:"
_SANE_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row of the table."""

    slug: str
    title: str
    status: int
    retryable: bool


KINDS: Final[dict[type[Exception], ProblemKind]] = {
    errors.InvalidInput: ProblemKind("invalid-input", "The request is not valid", 422, False),
    errors.Unauthenticated: ProblemKind("unauthenticated", "A known API key is needed", 401, False),
    errors.Forbidden: ProblemKind("forbidden", "The API key lacks a scope", 403, False),
    errors.NotFound: ProblemKind("not-found", "There is no such thing", 404, False),
    errors.Conflict: ProblemKind("conflict", "The present state does not allow it", 409, False),
    errors.TooLarge: ProblemKind("too-large", "The request is too large", 413, False),
    errors.RateLimited: ProblemKind("rate-limited", "This key asks too often", 429, True),
    errors.Overloaded: ProblemKind("overloaded", "The service has too much in flight", 429, True),
    errors.EngineMalformed: ProblemKind("engine-malformed", "The model's answer was unusable", 502, True),
    errors.EngineUnavailable: ProblemKind("engine-unavailable", "The model server does not answer", 503, True),
    errors.DependencyUnavailable: ProblemKind("dependency-unavailable", "A part of the service is down", 503, True),
    errors.DeadlineExceeded: ProblemKind("deadline-exceeded", "Time ran out", 504, True),
}
_UNEXPECTED: Final = ProblemKind("internal", "Something unexpected went wrong", 500, False)


def kind_of(error: BaseException) -> ProblemKind:
    """Return the row of the error's nearest ancestor in the table; anything unknown is a 500."""
    return next((KINDS[kind] for kind in type(error).__mro__ if kind in KINDS), _UNEXPECTED)


def problem_of(error: Exception, request_id: str) -> Problem:
    """Return the problem that tells of `error`; used for answers, batch lines and streamed events alike."""
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors(), request_id)
    if isinstance(error, HTTPException):
        return _of_status(error.status_code, request_id)
    kind = kind_of(error)
    detail = "It was logged under this request id."
    if kind is not _UNEXPECTED and isinstance(error, errors.ServiceError):
        detail = error.detail
    return Problem(
        type=_URN + kind.slug,
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request_id,
        retryable=kind.retryable,
        errors=error.errors if isinstance(error, errors.InvalidInput) else (),
    )


def field_problems(found: Sequence[ErrorDetails | dict[str, Any]]) -> tuple[FieldProblem, ...]:
    """Return Pydantic's findings as field paths and messages, without the input or names that the client made up."""
    told = (FieldProblem(field=_path(item["loc"]), detail=_message(item)) for item in found)
    return tuple(dict.fromkeys(told))


def problem_response(error: Exception, request_id: str) -> Response:
    """Return the HTTP answer for `error`, with Retry-After where the error says when."""
    problem = problem_of(error, request_id)
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, errors.RateLimited | errors.Overloaded):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, HTTPException) and error.headers:
        headers.update(error.headers)
    return Response(problem.model_dump_json(), problem.status, headers, MEDIA_TYPE)


def log_unexpected(error: BaseException) -> None:
    """Log an error that has no row in the table, once, where it is handled."""
    if kind_of(error) is _UNEXPECTED:
        _log.error("unexpected_error", exc_info=error)


def install_handlers(app: FastAPI) -> None:
    """Answer every foreseen error of a route with its problem; the unforeseen go on to the outermost middleware."""
    for kind in (errors.ServiceError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, errors.ServiceError):
        log_unexpected(error)
    return problem_response(error, request_id_of(request.scope))


def _invalid(found: Sequence[Any], request_id: str) -> Problem:
    kind = KINDS[errors.InvalidInput]
    return Problem(
        type=_URN + kind.slug,
        title=kind.title,
        status=kind.status,
        detail="Mend the fields named in `errors` and send it again.",
        request_id=request_id,
        retryable=False,
        errors=field_problems(found),
    )


def _of_status(status: int, request_id: str) -> Problem:
    """Return the problem of a bare HTTP status, as the framework raises them (404, 405, an unreadable body)."""
    named = {kind.status: kind for kind in (*KINDS.values(), _UNEXPECTED) if kind.status not in (429, 503)}
    title = HTTPStatus(status).phrase
    kind = named.get(status, ProblemKind(title.lower().replace(" ", "-"), title, status, False))
    detail = "The body could not be read: send JSON in UTF-8, not too deeply nested." if status == 400 else f"{title}."
    return Problem(
        type=_URN + kind.slug,
        title=kind.title,
        status=status,
        detail=detail,
        request_id=request_id,
        retryable=kind.retryable,
    )


def _path(location: Sequence[int | str]) -> str:
    """Return a dotted path.

    Parts that are no plain name are Pydantic's own tags of a union, or made up by the client.
    """
    parts = [str(part) for part in location if isinstance(part, int) or _SANE_FIELD.fullmatch(part)]
    return ".".join(parts)


def _message(item: ErrorDetails | dict[str, Any]) -> str:
    if item["type"] == "json_invalid":
        return "is not valid JSON"
    return str(item["msg"]).removeprefix("Value error, ")
