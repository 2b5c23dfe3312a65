"""Swaps between two checkpoints while clients ask without pause, and what each reply said: label, scores, time.

Every request carries text of its own, so that no reply comes from the cache. A reply's scores are told apart by which
checkpoint's scores, measured one at a time before the load, are nearer: the two differ by a level and more.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from statistics import fmean

import httpx

from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import Evaluation
from tests.support.real_checkpoints import GOLDEN_TEXTS


@dataclass(frozen=True, slots=True)
class Reply:
    """One answered request: which golden text, when, by whom, and whose scores these are."""

    began_s: float
    ended_s: float
    label: str
    nearest: str
    distance: float


@dataclass
class SwapRun:
    """What was seen; times are on the monotonic clock (seconds)."""

    replies: list[Reply] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    swaps_s: list[tuple[float, float]] = field(default_factory=list)

    @property
    def mismatches(self) -> int:
        """Replies whose label is not that of the checkpoint whose scores they carry."""
        return sum(reply.label != reply.nearest for reply in self.replies)

    def latencies_s(self, *, during_swaps: bool) -> list[float]:
        """Return the times of replies that overlap a swap, or of those that overlap none."""
        return [
            reply.ended_s - reply.began_s
            for reply in self.replies
            if any(reply.began_s < end and begin < reply.ended_s for begin, end in self.swaps_s) is during_swaps
        ]


async def swap_under_load(
    judge: httpx.AsyncClient, versions: Sequence[str], *, swaps: int, clients: int, limit_s: float = math.inf
) -> SwapRun:
    """Swap between two versions while `clients` ask, some replies between any two swaps.

    There are `swaps` of them, or as many as begin within `limit_s` seconds.
    """
    end_s = time.monotonic() + limit_s
    expected = {version: await _expected(judge, version) for version in versions}
    run, numbers, stop = SwapRun(), count(1), asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            await _one(judge, next(numbers), expected, run)

    async def swap() -> None:
        try:
            for number in range(swaps):
                if time.monotonic() > end_s:
                    break
                await _activate(judge, versions[number % 2], run)
                await _replies_more(run, clients)
        finally:
            stop.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(swap())
        for _ in range(clients):
            tasks.create_task(ask())
    return run


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; values must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


async def _expected(judge: httpx.AsyncClient, version: str) -> Mapping[str, Sequence[Sequence[float]]]:
    """Activate a version and return its label with the scores of each golden text."""
    answer = await judge.post(f"/checkpoints/{version}/activate")
    answer.raise_for_status()
    found = []
    for context, response in GOLDEN_TEXTS:
        evaluated = await judge.post("/evaluate", json={"context": context, "response": response})
        found.append(_scores(Evaluation.model_validate_json(evaluated.content)))
    return {answer.json()["label"]: found}


async def _one(
    judge: httpx.AsyncClient,
    number: int,
    expected: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    run: SwapRun,
) -> None:
    text = number % len(GOLDEN_TEXTS)
    context, response = GOLDEN_TEXTS[text]
    began_s = time.monotonic()
    answer = await judge.post("/evaluate", json={"context": context, "response": f"{response} ({number})"})
    ended_s = time.monotonic()
    if answer.status_code != httpx.codes.OK:
        run.failures.append(f"{answer.status_code}: {answer.text[:200]}")
        return
    evaluation = Evaluation.model_validate_json(answer.content)
    if evaluation.cached:
        run.failures.append("a reply came from the cache")
    distances = {
        label: fmean(abs(a - b) for a, b in zip(scores[text], _scores(evaluation), strict=True))
        for checkpoint in expected.values()
        for label, scores in checkpoint.items()
    }
    nearest = min(distances, key=distances.__getitem__)
    run.replies.append(Reply(began_s, ended_s, evaluation.checkpoint, nearest, distances[nearest]))


async def _activate(judge: httpx.AsyncClient, version: str, run: SwapRun) -> None:
    began_s = time.monotonic()
    answer = await judge.post(f"/checkpoints/{version}/activate")
    run.swaps_s.append((began_s, time.monotonic()))
    if answer.status_code != httpx.codes.OK:
        run.failures.append(f"activate {version}: {answer.text[:200]}")


async def _replies_more(run: SwapRun, clients: int) -> None:
    """Return when every client has had two more replies: load without a swap."""
    wanted = len(run.replies) + len(run.failures) + 2 * clients
    while len(run.replies) + len(run.failures) < wanted:  # noqa: ASYNC110 - the replies come over HTTP
        await asyncio.sleep(0.05)


def _scores(evaluation: Evaluation) -> list[float]:
    return [evaluation.scores[name].score for name in DIMENSIONS]
