"""One JSON object a line, event first, from every logger, and never any text."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from services.telemetry.logs import TEXT_FIELDS, TextDigest, configure_logging

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Log as a service does, and return what was logged so far."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers, root.level)
    configure_logging("judge", "INFO", digest=TextDigest(b"k" * 32), stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _fail() -> None:
    raise ValueError("my diary")


def test_a_line_begins_with_its_event_and_carries_the_request_id(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("some.module").info("judged", dimension="safety", ms=3)
    (line,) = lines()
    assert next(iter(line)) == "event"
    expected = {"event": "judged", "request_id": "r1", "dimension": "safety", "ms": 3, "service": "judge"}
    assert expected.items() <= line.items()
    assert (line["level"], line["logger"]) == ("info", "some.module")


def test_the_standard_librarys_loggers_speak_the_same_way(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        logging.getLogger("uvicorn.error").warning("started on %s", "a port")
    (line,) = lines()
    assert (line["event"], line["request_id"], line["logger"]) == ("started on a port", "r1", "uvicorn.error")


@pytest.mark.parametrize("field", sorted(TEXT_FIELDS))
def test_fields_named_like_text_are_refused(lines: Lines, field: str) -> None:
    structlog.get_logger().info("judged", **{field: "my diary"})
    (line,) = lines()
    assert line[field] == "[text refused]"


@pytest.mark.parametrize("by", ["structlog", "logging"])
def test_an_exception_is_told_by_type_and_place_not_by_message(lines: Lines, by: str) -> None:
    try:
        _fail()
    except ValueError:
        if by == "structlog":
            structlog.get_logger().exception("broke")
        else:
            logging.getLogger("uvicorn.error").exception("broke")
    (line,) = lines()
    assert line["error"]["type"] == "builtins.ValueError"
    assert line["error"]["message_digest"] == TextDigest(b"k" * 32).of("my diary")
    assert line["error"]["at"][-1].endswith("_fail")
    assert "diary" not in json.dumps(line)


def test_a_cause_is_named_by_type(lines: Lines) -> None:
    try:
        try:
            _fail()
        except ValueError as error:
            raise KeyError("diary") from error
    except KeyError as error:
        structlog.get_logger().error("broke", exc_info=error)
    (line,) = lines()
    assert (line["error"]["type"], line["error"]["caused_by"]) == ("builtins.KeyError", "ValueError")
    assert "diary" not in json.dumps(line)


@pytest.mark.parametrize("name", ["httpx", "uvicorn.access"])
def test_loggers_that_tell_urls_are_quiet(lines: Lines, name: str) -> None:
    logging.getLogger(name).info("GET http://judge/evaluate?q=diary")
    assert lines() == []


@settings(deadline=None)
@given(st.text())
def test_a_digest_is_the_same_for_the_same_text_and_key_only(text: str) -> None:
    key = b"k" * 32
    assert TextDigest(key).of(text) == TextDigest(key).of(text)
    assert TextDigest(key).of(text) != TextDigest(b"j" * 32).of(text)
    assert TextDigest(key).of(text).endswith(f":{len(text)}")
    assert TextDigest().of(text) != TextDigest().of(text)
