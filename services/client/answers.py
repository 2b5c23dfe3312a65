"""What came back: the one reader of answers, whole or streamed, and the one translation of failures.

Nothing here does I/O: bytes come in, contract types go out. Whatever breaks the contract is `MalformedAnswer`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx
from httpx_sse import ServerSentEvent, SSEError
from pydantic import BaseModel, ValidationError

from services.client.errors import (
    ClientError,
    DeadlineExceeded,
    MalformedAnswer,
    Unreachable,
    problem_error,
)
from services.contracts.evaluate import BatchLine
from services.contracts.problem import Problem
from services.contracts.refine import RefineEvent

Model = TypeVar("Model", bound=BaseModel)
_GATEWAY_STATUSES: Final = frozenset({502, 503, 504})


def read(model: type[Model], body: bytes | str) -> Model:
    """Return the answer as its contract type.

    Raises:
        MalformedAnswer: it is none; the message names the fields, never the text.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_input=False))
        raise MalformedAnswer(
            f"the answer is no {model.__name__} (at {places or 'its start'}): do client and service have one version?"
        ) from None


def error_of(response: httpx.Response) -> ClientError:
    """Return the error that an answer with an unwelcome status tells of; its body has been read."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        address = f"{response.request.url.host}:{response.request.url.port or response.request.url.scheme}"
        if response.status_code in _GATEWAY_STATUSES:
            return Unreachable(
                f"the gateway at {address} answered {response.status_code}: the service behind it is down"
            )
        return MalformedAnswer(
            f"{address} answered {response.status_code} and no problem+json: is this the right address?"
        )
    return problem_error(problem, _retry_after_s(response))


def transport_error(error: httpx.TransportError, url: str) -> ClientError:
    """Return what a failure to send or to receive means."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return DeadlineExceeded(f"no answer from {url} in time; allow more time or ask for less")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Unreachable(f"nothing answers at {url}; is the service running, and is the address right?")
    return Unreachable(f"the connection to {url} broke ({type(error).__name__}); try again")


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Run the block; what httpx and httpx-sse raise in it becomes a client error."""
    try:
        yield
    except (SSEError, httpx.DecodingError) as error:
        raise MalformedAnswer(f"the answer of {url} cannot be read ({error}); is this the right address?") from error
    except httpx.TransportError as error:
        raise transport_error(error, url) from error


class BatchReader:
    """Turns the bytes of an NDJSON answer into lines, whatever the chunks are, and sees that every item is answered."""

    def __init__(self, item_count: int) -> None:
        self._missing = set(range(item_count))
        self._rest = b""

    @property
    def done(self) -> bool:
        """Whether every item has its answer."""
        return not self._missing

    def feed(self, chunk: bytes) -> Iterator[BatchLine]:
        """Yield the lines that `chunk` completes."""
        # Only the newline byte ends a line: JSON text may hold other characters that Unicode calls line breaks.
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return (self._read(line) for line in lines if line.strip())

    def end(self) -> Iterator[BatchLine]:
        """Yield the last line when no newline ended it.

        Raises:
            MalformedAnswer: an item has no answer.
        """
        if self._rest.strip():
            yield self._read(self._rest)
        if self._missing:
            raise MalformedAnswer(f"the stream ended with {len(self._missing)} items unanswered; send those again")

    def _read(self, line: bytes) -> BatchLine:
        answer = read(BatchLine, line)
        if answer.index not in self._missing:
            raise MalformedAnswer(f"the batch answered item {answer.index} twice, or it was never sent")
        if (answer.evaluation is None) == (answer.problem is None):
            raise MalformedAnswer(f"the batch answered item {answer.index} with neither or both of score and problem")
        self._missing.remove(answer.index)
        return answer


class EventReader:
    """Turns server-sent events into refine events and sees that the stream comes to its end."""

    def __init__(self) -> None:
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the refinement came."""
        return self._done

    def read(self, sent: ServerSentEvent) -> RefineEvent:
        """Return the event.

        Raises:
            ProblemError: the event is a problem: the refinement failed.
            MalformedAnswer: it is no refine event.
        """
        event = read(RefineEvent, sent.data)
        if event.problem is not None:
            raise problem_error(event.problem)
        self._done = self._done or event.refinement is not None
        return event

    def end(self) -> None:
        """Check that the refinement came.

        Raises:
            MalformedAnswer: it did not.
        """
        if not self._done:
            raise MalformedAnswer("the stream ended before the refinement was done; send the request again")


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
