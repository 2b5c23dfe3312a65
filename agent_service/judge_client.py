"""The judge over HTTP: the port `Judge` on the client library. Its errors are translated here, once."""

from collections.abc import Sequence
from contextlib import aclosing

import structlog

from agent_service.ports import JudgeFailure
from services import errors
from services.client import AsyncTheraloopClient
from services.client.errors import (
    ClientError,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ProblemError,
    RateLimited,
    TimedOut,
)
from services.contracts.conversation import Turn
from services.contracts.evaluate import BatchLine, EvaluateRequest, Evaluation
from services.contracts.problem import Problem
from services.deadline import Deadline


class HttpJudge:
    """Asks the judge service."""

    def __init__(self, client: AsyncTheraloopClient) -> None:
        self._client = client

    async def evaluate(self, turns: tuple[Turn, ...], response: str, deadline: Deadline) -> Evaluation:
        """Return the judgment of one reply; see the port."""
        try:
            return await self._client.evaluate(
                EvaluateRequest(context=turns, response=response), deadline=deadline, request_id=_request_id()
            )
        except ClientError as error:
            raise _translated(error) from error

    async def evaluate_many(
        self, turns: tuple[Turn, ...], responses: Sequence[str], deadline: Deadline
    ) -> list[Evaluation | JudgeFailure]:
        """Judge all replies in one batch; those without a judgment carry the reason."""
        items = [EvaluateRequest(context=turns, response=response) for response in responses]
        results: dict[int, Evaluation | JudgeFailure] = {}
        missing: errors.ServiceError = errors.DependencyUnavailable("the judge left the reply out of its answer")
        try:
            async with aclosing(
                self._client.evaluate_batch(items, deadline=deadline, request_id=_request_id())
            ) as lines:
                async for line in lines:
                    results[line.index] = _result(line)
        except ClientError as error:
            missing = _translated(error)
        return [results.get(index, JudgeFailure(missing)) for index in range(len(items))]


def _request_id() -> str | None:
    """Return the id of the request that is being answered, so that the judge logs and traces under the same."""
    return structlog.contextvars.get_contextvars().get("request_id")


def _result(line: BatchLine) -> Evaluation | JudgeFailure:
    if line.evaluation is not None:
        return line.evaluation
    return JudgeFailure(_of_problem(line.problem))


def _of_problem(problem: Problem | None) -> errors.ServiceError:
    if problem is not None and problem.status == 504:
        return errors.DeadlineExceeded("the judge ran out of time")
    if problem is not None and problem.status == 422:
        return errors.InvalidInput("the judge cannot take the reply")
    return errors.DependencyUnavailable("the judge could not score the reply")


def _translated(error: ClientError) -> errors.ServiceError:
    if isinstance(error, DeadlineExceeded | TimedOut):
        return errors.DeadlineExceeded("the judge did not answer in time")
    if isinstance(error, InvalidRequest):
        return errors.InvalidInput(error.problem.detail, error.problem.errors)
    if isinstance(error, Overloaded | RateLimited):
        return errors.Overloaded("the judge has too much to do", error.retry_after_s or 1.0)
    if isinstance(error, ProblemError):
        return errors.DependencyUnavailable(f"the judge answered {error.problem.status}")
    return errors.DependencyUnavailable("the judge cannot be reached")
