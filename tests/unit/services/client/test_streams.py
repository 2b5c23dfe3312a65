"""Streams are read the same however the network cuts them."""

from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.client import ClientConfig, TheraloopClient
from services.client.answers import BatchReader
from services.contracts.evaluate import BatchLine, EvaluateRequest
from services.contracts.refine import RefineRequest
from tests.support.canned_answers import evaluation, ndjson, problem, refine_events, refinement, sse

# What some readers take for the end of a line, and what takes several bytes.
_NASTY = "a\u2028b\u2029c\x85d\x0be\x1ef\r\ng\U0001f614 \u05d0"


class _Cut(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def _cut(body: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted({place % len(body) for place in places}), len(body)]
    return [body[start:end] for start, end in pairwise(bounds)]


def _client(chunks: list[bytes], content_type: str) -> TheraloopClient:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": content_type}, stream=_Cut(chunks))

    return TheraloopClient(ClientConfig(), transport=httpx.MockTransport(answer))


_PLACES = st.lists(st.integers(min_value=0), max_size=40)


@given(places=_PLACES, newline_at_end=st.booleans())
def test_batch_lines_survive_any_cut(places: list[int], newline_at_end: bool) -> None:
    lines = (
        BatchLine(index=2, evaluation=evaluation().model_copy(update={"rationale": _NASTY})),
        BatchLine(index=0, problem=problem(422, "invalid-input")),
        BatchLine(index=1, evaluation=evaluation()),
    )
    body = ndjson(lines) if newline_at_end else ndjson(lines).rstrip(b"\n")
    with _client(_cut(body, places), "application/x-ndjson") as client:
        assert tuple(client.evaluate_batch([EvaluateRequest(context="a", response="b")] * 3)) == lines


@given(places=_PLACES)
def test_events_survive_any_cut(places: list[int]) -> None:
    events = refine_events(refinement(text=_NASTY))
    body = b": a comment keeps the connection\n\n" + sse(events)
    with _client(_cut(body, places), "text/event-stream") as client:
        assert tuple(client.refine_events(RefineRequest(context="a", response="b"))) == events


@pytest.mark.parametrize("blank", [b"\n", b" \n", b"\r\n"])
def test_blank_lines_in_a_batch_are_no_lines(blank: bytes) -> None:
    reader = BatchReader(1)
    lines = list(reader.feed(blank + ndjson((BatchLine(index=0, evaluation=evaluation()),)) + blank))
    assert [line.index for line in lines] == [0]
    assert list(reader.end()) == []
