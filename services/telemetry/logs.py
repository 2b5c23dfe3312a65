"""Structured logs: one JSON object a line, event name first, request id on each, no conversation text.

Both structlog and the standard library's loggers (uvicorn, httpx, redis) go through the same chain. Text never enters a
line: fields named like text are refused, and an exception is told by its type, its place in our code and a keyed digest
of its message.
"""

import hashlib
import hmac
import logging
import secrets
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import IO, Any, Final

import structlog

TEXT_FIELDS: Final = frozenset(
    {"text", "response", "context", "prompt", "messages", "content", "rationale", "draft", "body", "input", "query"}
)
_REFUSED: Final = "[text refused]"
_NOISY: Final = ("httpx", "httpcore", "uvicorn.access", "asyncio")
_MAX_FRAMES: Final = 8

_Event = MutableMapping[str, Any]
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class TextDigest:
    """Keyed digests of text: equal texts can be told in the logs of one key, and nothing can be guessed back.

    With no key a random one is drawn, and digests compare within the process only.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)

    def of(self, text: str) -> str:
        """Return 16 hex digits and the length in characters, as `3f…:120`."""
        mac = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"{mac.hexdigest()[:16]}:{len(text)}"


def configure_logging(
    service: str, level: str = "INFO", *, digest: TextDigest | None = None, stream: IO[str] | None = None
) -> None:
    """Send all logs of this process to `stream` (standard error by default) as JSON lines.

    Called once, by the process's entry.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ServiceName(service),
        refuse_text,
        ExceptionDigest(digest or TextDigest()),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=()), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _event_first,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _ServiceName:
    """Adds which service speaks."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: object, _method: str, event: _Event) -> _Event:
        event["service"] = self._service
        return event


def refuse_text(_logger: object, _method: str, event: _Event) -> _Event:
    """Replace the value of every field named like conversation text."""
    for field in TEXT_FIELDS.intersection(event):
        event[field] = _REFUSED
    return event


class ExceptionDigest:
    """Replaces an exception by its type, where it came from and a digest of its message, which may quote text."""

    def __init__(self, digest: TextDigest) -> None:
        self._digest = digest

    def __call__(self, _logger: object, _method: str, event: _Event) -> _Event:
        """Return the event with `exc_info` (as logging takes it) turned into `error`."""
        found = _exception_of(event.pop("exc_info", None))
        event.pop("exception", None)
        event.pop("stack_info", None)
        if found is None:
            return event
        kind, error, trace = found
        frames = traceback.extract_tb(trace)[-_MAX_FRAMES:]
        event["error"] = {
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "message_digest": self._digest.of(str(error)),
            "at": [
                f"{frame.filename.rpartition('/site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames
            ],
            "caused_by": type(error.__cause__).__qualname__ if error.__cause__ else None,
        }
        return event


def _exception_of(exc_info: object) -> _ExcInfo | None:
    if isinstance(exc_info, BaseException):
        return type(exc_info), exc_info, exc_info.__traceback__
    if isinstance(exc_info, tuple) and len(exc_info) == 3 and exc_info[0] is not None:
        return exc_info
    if exc_info:
        kind, error, trace = sys.exc_info()
        if kind is not None and error is not None:
            return kind, error, trace
    return None


def _event_first(_logger: object, _method: str, event: _Event) -> _Event:
    return {"event": event.pop("event", ""), **event}
