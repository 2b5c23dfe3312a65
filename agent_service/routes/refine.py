"""`POST /refine`: one JSON answer, or server-sent events as the stages happen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from agent_service.pipeline import RefinePipeline
from services.contracts.refine import RefineEvent, Refinement, RefineRequest
from services.deadline import Deadline
from services.web.auth import Principal, require
from services.web.problems import log_unexpected, problem_of

_EVENT_STREAM: Final = "text/event-stream"
_EVENTS_DOC: Final = {_EVENT_STREAM: {"schema": {"type": "string", "description": "Events, each a RefineEvent."}}}


def refine_router(pipeline: RefinePipeline, *, keepalive_s: float) -> APIRouter:
    """Return the route; a comment is sent when nothing happened for `keepalive_s`."""
    router = APIRouter(tags=["refine"])

    @router.post(
        "/refine",
        summary="Judge a draft and rewrite it where it is weak",
        response_model=Refinement,
        responses={200: {"content": _EVENTS_DOC}},
    )
    async def refine(
        body: RefineRequest, request: Request, _: Annotated[Principal, Depends(require("refine"))]
    ) -> Response:
        deadline: Deadline = request.state.deadline
        if _EVENT_STREAM in request.headers.get("Accept", ""):
            events = _events(pipeline, body, deadline, request.state.request_id, keepalive_s)
            return EventSourceResponse(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        refinement = await pipeline.refine(body, deadline, _ignore)
        return JSONResponse(refinement.model_dump(mode="json"))

    return router


def _ignore(_: RefineEvent) -> None:
    return None


async def _events(
    pipeline: RefinePipeline, body: RefineRequest, deadline: Deadline, request_id: str, keepalive_s: float
) -> AsyncIterator[bytes]:
    """Yield each event as it happens; the last is `done` or `problem`. Leaving early cancels the refinement."""
    queue: asyncio.Queue[RefineEvent] = asyncio.Queue()

    async def work() -> None:
        try:
            refinement = await pipeline.refine(body, deadline, queue.put_nowait)
            queue.put_nowait(RefineEvent(event="done", refinement=refinement))
        except Exception as error:  # the status line is out: whatever went wrong is told as the last event
            log_unexpected(error)
            queue.put_nowait(RefineEvent(event="problem", problem=problem_of(error, request_id)))

    task = asyncio.create_task(work())
    try:
        last = False
        while not last:
            try:
                async with asyncio.timeout(keepalive_s):
                    event = await queue.get()
            except TimeoutError:
                yield KEEPALIVE_COMMENT
                continue
            last = event.event in ("done", "problem")
            yield format_sse_event(event=event.event, data_str=event.model_dump_json())
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
