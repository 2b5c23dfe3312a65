"""What the judge service adds to the engine's own time: `python benchmarks/service_overhead.py`.

One client. First, in turn, the bare engine's seven digits and `POST /evaluate`, on replies that no cache knows; then
the same requests again, from the judge's cache. On a CPU the engine's time varies by more than the service adds, so the
addition is also read from the service's own clocks: time of its HTTP requests minus time of its engine requests.
"""

import asyncio
from dataclasses import dataclass
from statistics import median

import httpx
import typer
from prometheus_client.parser import text_string_to_metric_families

from benchmarks._harness import (
    Engine,
    EngineUrl,
    JudgeUrl,
    Report,
    answered,
    connection,
    material,
    percentile,
    running,
    timed,
    unusable,
)

WARM_UP = 2


@dataclass(frozen=True)
class Clocks:
    """The judge's own counts and times since it started."""

    requests: float
    request_s: float
    engine_s: float

    def own_ms(self, before: "Clocks", expected: int) -> float:
        """Return the service's own milliseconds a request since `before`."""
        requests = self.requests - before.requests
        if requests != expected:
            unusable(
                f"others used the judge meanwhile ({requests:.0f} requests, {expected} of them ours); run it again"
            )
        return 1e3 * (self.request_s - before.request_s - (self.engine_s - before.engine_s)) / requests


def main(engine: EngineUrl = None, judge: JudgeUrl = None, replies: int = 40) -> None:
    """Measure on `replies` replies."""
    asyncio.run(_measure(engine, running("judge", judge), replies))


async def _measure(url: str | None, judge: str, count: int) -> None:
    report = Report("service_overhead")
    bare, asked, cached = list[float](), list[float](), list[float]()
    async with connection() as http:
        engine = await Engine.connect(http, url)
        replies = [reply.fresh() for reply in material(count + WARM_UP)]
        start = await _clocks(http, judge)
        for number, reply in enumerate(replies):
            if number == WARM_UP:
                start = await _clocks(http, judge)
            verdict = engine.verdict(engine.base, reply.fresh())
            bare += (await engine.ask_all([verdict])).latencies_ms
            asked.append(await _evaluate(http, judge, reply.body()))
        middle = await _clocks(http, judge)
        for reply in replies[WARM_UP:]:
            cached.append(await _evaluate(http, judge, reply.body()))
        end = await _clocks(http, judge)
    bare, asked = bare[WARM_UP:], asked[WARM_UP:]
    rows = [
        _row("bare engine", bare, bare, None),
        _row("/evaluate, not cached", asked, bare, middle.own_ms(start, count)),
        _row("/evaluate, cached", cached, bare, end.own_ms(middle, count)),
    ]
    report.show(rows, engine, replies=count)


async def _evaluate(http: httpx.AsyncClient, judge: str, body: dict[str, object]) -> float:
    async def post() -> httpx.Response:
        return answered(await http.post(f"{judge}/evaluate", json=body))

    return (await timed([post])).latencies_ms[0]


async def _clocks(http: httpx.AsyncClient, judge: str) -> Clocks:
    text = answered(await http.get(f"{judge}/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(name: str, **labels: str) -> float:
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    return Clocks(
        requests=total("theraloop_http_request_seconds_count", route="/evaluate"),
        request_s=total("theraloop_http_request_seconds_sum", route="/evaluate"),
        engine_s=total("theraloop_engine_request_seconds_sum", kind="verdict"),
    )


def _row(name: str, values: list[float], bare: list[float], own_ms: float | None) -> dict[str, object]:
    return {
        "request": name,
        "p50 ms": median(values),
        "p95 ms": percentile(values, 0.95),
        "p50 against bare": median(values) / median(bare),
        "service's own ms": own_ms,
    }


if __name__ == "__main__":
    typer.run(main)
