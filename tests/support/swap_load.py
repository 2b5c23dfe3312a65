"""Swaps between two checkpoints while clients ask without pause, and what each reply said: label, scores, time.

Whose scores a reply carries is told by the distribution of the first dimension, the one that no earlier digit can move:
both checkpoints were asked the very same texts before the load, and only texts on which they are far apart are used.
The judge's cache should forget within a second, so that nearly every reply comes from the engine; the rest are checked
all the same, and left out of the latencies.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import httpx

from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import Evaluation
from tests.support.real_checkpoints import GOLDEN_TEXTS

_FAR: Final = 0.4
"""Sum of absolute differences between two distributions, 0 to 2, from which they cannot be taken for each other."""

Text = tuple[str, str]
Distribution = Sequence[float]
Expected = Mapping[str, Mapping[Text, Distribution]]
"""By label and text, the first dimension's distribution."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answered request: when, what it is labelled, whose scores it carries, and how far from those it is."""

    began_s: float
    ended_s: float
    label: str
    nearest: str
    distance: float
    cached: bool


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
        """Return the times of replies from the engine that overlap a swap, or of those that overlap none."""
        return [
            reply.ended_s - reply.began_s
            for reply in self.replies
            if not reply.cached
            and any(reply.began_s < end and begin < reply.ended_s for begin, end in self.swaps_s) is during_swaps
        ]


async def swap_under_load(
    judge: httpx.AsyncClient,
    versions: Sequence[str],
    *,
    swaps: int,
    clients: int,
    rest: int = 2,
    limit_s: float = math.inf,
) -> SwapRun:
    """Swap between two versions while `clients` ask, each of them `rest` times between any two swaps.

    There are `swaps` of them, or as many as begin within `limit_s` seconds.
    """
    end_s = time.monotonic() + limit_s
    expected = dict([await _expected(judge, version) for version in versions])
    texts = _told_apart(expected)
    run, numbers, stop = SwapRun(), count(1), asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            number = next(numbers)
            await _one(judge, texts[number % len(texts)], expected, run)

    async def swap() -> None:
        try:
            for number in range(swaps):
                if time.monotonic() > end_s:
                    break
                await _activate(judge, versions[number % 2], run)
                await _replies_more(run, rest * clients)
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


async def _expected(judge: httpx.AsyncClient, version: str) -> tuple[str, Mapping[Text, Distribution]]:
    """Activate a version and return its label with what it says of each text."""
    answer = await judge.post(f"/checkpoints/{version}/activate")
    answer.raise_for_status()
    found = {}
    for context, response in GOLDEN_TEXTS:
        evaluated = await judge.post("/evaluate", json={"context": context, "response": response})
        found[context, response] = _first(Evaluation.model_validate_json(evaluated.content))
    return str(answer.json()["label"]), found


def _told_apart(expected: Expected) -> list[Text]:
    """Return the texts on which the two checkpoints are far apart; fail when there is none."""
    one, other = expected.values()
    texts = [text for text in one if _distance(one[text], other[text]) >= _FAR]
    assert texts, "the two checkpoints say nearly the same of every text; no label could be checked"
    return texts


async def _one(judge: httpx.AsyncClient, text: Text, expected: Expected, run: SwapRun) -> None:
    context, response = text
    began_s = time.monotonic()
    answer = await judge.post("/evaluate", json={"context": context, "response": response})
    ended_s = time.monotonic()
    if answer.status_code != httpx.codes.OK:
        run.failures.append(f"{answer.status_code}: {answer.text[:200]}")
        return
    evaluation = Evaluation.model_validate_json(answer.content)
    distances = {label: _distance(said[text], _first(evaluation)) for label, said in expected.items()}
    nearest = min(distances, key=distances.__getitem__)
    run.replies.append(Reply(began_s, ended_s, evaluation.checkpoint, nearest, distances[nearest], evaluation.cached))


async def _activate(judge: httpx.AsyncClient, version: str, run: SwapRun) -> None:
    began_s = time.monotonic()
    answer = await judge.post(f"/checkpoints/{version}/activate")
    run.swaps_s.append((began_s, time.monotonic()))
    if answer.status_code != httpx.codes.OK:
        run.failures.append(f"activate {version}: {answer.text[:200]}")


async def _replies_more(run: SwapRun, count: int) -> None:
    """Return when there were that many more replies: load without a swap."""
    wanted = len(run.replies) + len(run.failures) + count
    while len(run.replies) + len(run.failures) < wanted:  # noqa: ASYNC110 - the replies come over HTTP
        await asyncio.sleep(0.05)


def _first(evaluation: Evaluation) -> Distribution:
    return evaluation.scores[DIMENSIONS[0]].distribution


def _distance(one: Distribution, other: Distribution) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))
