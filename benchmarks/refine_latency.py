"""Where a refinement's time goes: `python benchmarks/refine_latency.py`.

One client, one round each, on drafts that no cache knows. Thresholds of 5 make every draft go through the whole loop,
thresholds of 1 let every draft pass: the clock is measured here, not the judge's taste. Baselines in the same run: four
candidates against one (asked: at most 1.6 times), a passed draft against one judgment, a repeat from the cache against
the first time (asked: under 20 ms, the judge's own cached answer included).
"""

import asyncio
from collections.abc import Mapping
from statistics import fmean, median

import httpx
import typer

from benchmarks._harness import (
    AgentUrl,
    Engine,
    EngineUrl,
    JudgeUrl,
    Reply,
    Report,
    answered,
    connection,
    material,
    percentile,
    running,
    timed,
    unusable,
)
from services.contracts.dimensions import DIMENSIONS
from services.contracts.refine import Refinement

WARM_UP = 1
DEADLINE_MS = 120_000
DRAFTS = "good_varied"
"""Harmless replies: a dangerous draft would not pass at any threshold."""


class Clock:
    """Milliseconds by what was timed."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.seen: dict[str, list[float]] = {}
        self.judged: dict[int, list[int]] = {}
        self.outcomes: dict[str, int] = {}

    async def post(self, what: str, url: str, body: Mapping[str, object]) -> httpx.Response:
        """Post and note the time."""

        async def call() -> httpx.Response:
            return answered(await self._http.post(url, json=body))

        took = await timed([call])
        self.seen.setdefault(what, []).extend(took.latencies_ms)
        return took.answers[0]

    async def refine(self, agent: str, reply: Reply, candidates: int) -> None:
        """Refine for real, then once more from the cache; note the stages and how many candidates were judged."""
        body = _body(reply, 5.0, candidates)
        what = f"refine, {candidates} candidate{'s' if candidates > 1 else ''}"
        answer = await self.post(what, f"{agent}/refine", body)
        refinement = Refinement.model_validate_json(answer.content)
        self.outcomes[refinement.outcome] = self.outcomes.get(refinement.outcome, 0) + 1
        for one_round in refinement.rounds:
            if any(note.endswith("_unavailable") for note in one_round.notes):
                unusable(f"a role got no answer from the engine ({', '.join(one_round.notes)}): see the agent's log")
            for stage, ms in one_round.stage_ms.items():
                self.seen.setdefault(f"{what}: {stage}", []).append(ms)
            judged = sum(candidate.scores is not None for candidate in one_round.candidates)
            self.judged.setdefault(candidates, []).append(judged)
        again = await self.post(f"{what}, repeated", f"{agent}/refine", body)
        if not Refinement.model_validate_json(again.content).cached:
            self.seen[f"{what}, repeated"].pop()


def main(
    engine: EngineUrl = None, judge: JudgeUrl = None, agent: AgentUrl = None, drafts: int = 6, passed: int = 12
) -> None:
    """Refine `drafts` drafts with four candidates and with one; let `passed` drafts pass."""
    asyncio.run(_measure(engine, running("judge", judge), running("agent", agent), drafts, passed))


async def _measure(url: str | None, judge: str, agent: str, drafts: int, passed: int) -> None:
    report = Report("refine_latency")
    async with connection() as http:
        engine = await Engine.connect(http, url)
        clock = Clock(http)
        replies = material(max(drafts, passed) + WARM_UP, kinds=DRAFTS)
        for number, reply in enumerate(replies):
            if number == WARM_UP:
                clock = Clock(http)
            if number < passed + WARM_UP:
                await clock.post("one judgment", f"{judge}/evaluate", reply.fresh().body())
                await clock.post("refine, draft passes", f"{agent}/refine", _body(reply.fresh(), 1.0, 4))
                four = {"items": [reply.fresh().body() for _ in range(4)]}
                await clock.post("four judgments in one batch", f"{judge}/evaluate/batch", four)
            if number < drafts + WARM_UP:
                for candidates in (4, 1) if number % 2 else (1, 4):
                    await clock.refine(agent, reply.fresh(), candidates)
    rows = [_row(what, values, clock) for what, values in sorted(clock.seen.items()) if values]
    judged = {f"judged_of_{count}": round(fmean(numbers), 2) for count, numbers in sorted(clock.judged.items())}
    report.show(rows, engine, outcomes=clock.outcomes, **judged, **_asked(clock))


def _body(reply: Reply, threshold: float, candidates: int) -> dict[str, object]:
    options = {"max_rounds": 1, "candidates": candidates, "deadline_ms": DEADLINE_MS, "trace": True}
    return {**reply.body(), **options, "thresholds": dict.fromkeys(DIMENSIONS, threshold)}


def _row(what: str, values: list[float], clock: Clock) -> dict[str, object]:
    p50 = median(values)
    return {
        "what": what,
        "n": len(values),
        "p50 ms": p50,
        "p95 ms": percentile(values, 0.95),
        "times one judgment": p50 / median(clock.seen["one judgment"]),
        "times one candidate": p50 / median(clock.seen[one]) if (one := _with_one(what)) in clock.seen else None,
    }


def _asked(clock: Clock) -> dict[str, float]:
    """Return the figures that have a bound: candidates in one batch, a passed draft, a repeat from the cache."""
    p50 = {what: median(values) for what, values in clock.seen.items() if values}
    ratios = {
        "candidates_4_over_1": ("refine, 4 candidates: therapist", "refine, 1 candidate: therapist"),
        "passed_over_one_judgment": ("refine, draft passes", "one judgment"),
    }
    asked = {name: round(p50[a] / p50[b], 2) for name, (a, b) in ratios.items() if a in p50 and b in p50}
    repeated = p50.get("refine, 4 candidates, repeated")
    return asked if repeated is None else {**asked, "cached_repeat_p50_ms": round(repeated, 1)}


def _with_one(what: str) -> str:
    return what.replace("4 candidates", "1 candidate") if "4 candidates" in what else ""


if __name__ == "__main__":
    typer.run(main)
