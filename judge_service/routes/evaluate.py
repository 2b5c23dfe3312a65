"""`POST /evaluate` and `POST /evaluate/batch`."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from judge_service.batch import judge_batch
from judge_service.pipeline import EvaluationPipeline
from services.contracts.evaluate import BatchLine, BatchRequest, EvaluateRequest, Evaluation
from services.contracts.problem import Problem
from services.web.auth import Principal, require
from services.web.problems import problem_of
from services.web.rate_limit import charge

_NDJSON = "application/x-ndjson"


def evaluate_router(pipeline: EvaluationPipeline, *, batch_concurrency: int) -> APIRouter:
    """Return the judging routes over `pipeline`."""
    router = APIRouter(tags=["evaluate"])

    @router.post("/evaluate", summary="Judge one reply")
    async def evaluate(
        body: EvaluateRequest, request: Request, _: Annotated[Principal, Depends(require("evaluate"))]
    ) -> Evaluation:
        return await pipeline.evaluate(body, request.state.deadline)

    @router.post(
        "/evaluate/batch",
        summary="Judge up to 256 replies, each answered as soon as it is done",
        response_class=StreamingResponse,
        responses={200: {"content": {_NDJSON: {"schema": BatchLine.model_json_schema()}}}},
    )
    async def evaluate_batch(
        body: BatchRequest, request: Request, _: Annotated[Principal, Depends(require("evaluate"))]
    ) -> StreamingResponse:
        await charge(request, cost=len(body.items) - 1)
        lines = judge_batch(
            pipeline,
            body.items,
            request.state.deadline,
            concurrency=batch_concurrency,
            problem_of=lambda index, error: _item_problem(index, error, request.state.request_id),
        )
        return StreamingResponse(_ndjson(lines), media_type=_NDJSON)

    return router


async def _ndjson(lines: AsyncIterator[BatchLine]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line.model_dump_json().encode() + b"\n"


def _item_problem(index: int, error: Exception, request_id: str) -> Problem:
    """Return the problem of one item, its fields named as in the body of the whole batch."""
    if isinstance(error, ValidationError):
        faults = [{**fault, "loc": ("body", "items", index, *fault["loc"])} for fault in error.errors()]
        return problem_of(RequestValidationError(faults), request_id)
    return problem_of(error, request_id)
