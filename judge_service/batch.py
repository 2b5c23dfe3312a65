"""Many replies at once: each judged as soon as a place is free, each line sent as soon as it is done.

One bad item yields its own problem and spoils nothing else. At most `concurrency` items of a batch are with the engine,
so that a batch leaves room for single requests.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import ValidationError

from judge_service.pipeline import EvaluationPipeline
from services.contracts.evaluate import BatchLine, EvaluateRequest
from services.contracts.problem import Problem
from services.deadline import Deadline
from services.errors import ServiceError

ProblemOf = Callable[[int, ValidationError | ServiceError], Problem]


async def judge_batch(
    pipeline: EvaluationPipeline,
    items: Sequence[object],
    deadline: Deadline,
    *,
    concurrency: int,
    problem_of: ProblemOf,
) -> AsyncIterator[BatchLine]:
    """Yield one line per item, in the order in which they finish."""
    places = asyncio.Semaphore(concurrency)

    async def run(index: int, item: object) -> BatchLine:
        async with places:
            try:
                request = EvaluateRequest.model_validate(item)
                return BatchLine(index=index, evaluation=await pipeline.evaluate(request, deadline))
            except (ValidationError, ServiceError) as error:
                return BatchLine(index=index, problem=problem_of(index, error))

    tasks = [asyncio.create_task(run(index, item)) for index, item in enumerate(items)]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        # Plain tasks, not a task group: a client that goes away closes this generator from another task.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
