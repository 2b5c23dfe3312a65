"""The async client waits for nothing beyond the deadline, wherever a service hangs."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from services.client import AsyncTheraloopClient, errors
from services.contracts.evaluate import BatchLine, EvaluateRequest
from services.deadline import Deadline
from tests.support.canned_answers import evaluation, ndjson

_REQUEST = EvaluateRequest(context="a", response="b")


class _HangsAfter(httpx.AsyncByteStream):
    def __init__(self, first: bytes) -> None:
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        await asyncio.Event().wait()


class _Hanging(httpx.AsyncBaseTransport):
    """Never answers, or hangs within the body after `first`."""

    def __init__(self, first: bytes | None) -> None:
        self._first = first

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._first is None:
            await asyncio.Event().wait()
        return httpx.Response(200, stream=_HangsAfter(self._first or b""))


@pytest.mark.anyio
@pytest.mark.parametrize("first", [pytest.param(None, id="no headers"), pytest.param(b"{", id="half a body")])
async def test_a_hanging_answer_ends_at_the_deadline(first: bytes | None) -> None:
    async with AsyncTheraloopClient(transport=_Hanging(first)) as client:
        with pytest.raises(errors.DeadlineExceeded):
            await client.evaluate(_REQUEST, deadline=Deadline.after(0.05))


@pytest.mark.anyio
async def test_a_hanging_stream_ends_at_the_deadline_and_gives_what_came() -> None:
    line = BatchLine(index=1, evaluation=evaluation())
    got = []
    async with AsyncTheraloopClient(transport=_Hanging(ndjson((line,)))) as client:
        lines = client.evaluate_batch([_REQUEST] * 2, deadline=Deadline.after(0.05))
        got.append(await anext(lines))
        with pytest.raises(errors.DeadlineExceeded):
            await anext(lines)
    assert got == [line]


@pytest.mark.anyio
async def test_a_cancelled_call_stays_cancelled() -> None:
    async with AsyncTheraloopClient(transport=_Hanging(None)) as client:
        call = asyncio.create_task(client.evaluate(_REQUEST))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
