"""Judged replies a second on a running engine: `python benchmarks/judge_throughput.py [--adapter CHECKPOINT]`.

Three things are asked of the same prompts. **Prefill** writes one token: no judge that reads the whole reply can be
faster. **Seven digits** is ours. **JSON** writes 170 tokens, what seven scores with a sentence each take as JSON; the
length is forced, since its cost is measured here and not whether a small model closes its braces.

The instructions are in the engine's prefix cache, as in service; conversation and reply are not: each measurement has a
cache salt of its own. In each round all take their turn, so that other work on the machine hits all alike.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import typer

from benchmarks._harness import AdapterFolder, Engine, EngineUrl, Reply, Report, connection, material
from services.llm.port import CompletionRequest

JSON_TOKENS = 170


@dataclass
class Contender:
    """One way to ask, and what was seen: a figure a round."""

    name: str
    model: str
    request: Callable[[Reply, str], CompletionRequest]
    per_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)


def main(
    engine: EngineUrl = None, adapter: AdapterFolder = None, rounds: int = 3, replies: int = 32, alone: int = 6
) -> None:
    """Measure with 16 clients on `replies` prompts and with one client on `alone` prompts, in `rounds` rounds."""
    asyncio.run(_measure(engine, adapter, rounds, {16: replies, 1: alone}))


async def _measure(url: str | None, adapter: AdapterFolder, rounds: int, counts: dict[int, int]) -> None:
    report, rows = Report("judge_throughput"), list[dict[str, object]]()
    async with connection() as http:
        engine = await Engine.connect(http, url)
        async with engine.models(adapter) as models:
            for clients, count in counts.items():
                replies = material(count + 1, seed=clients)
                contenders = [one for label, name in models.items() for one in _contenders(engine, label, name)]
                for number in range(rounds):
                    turn = number % len(contenders)
                    for contender in contenders[turn:] + contenders[:turn]:
                        await _round(engine, contender, replies, clients)
                rows += [_row(contender, contenders, clients) for contender in contenders]
    prompts = [len(engine.renderer.render(reply.turns, reply.text).ids) for reply in material(200)]
    report.show(
        rows,
        engine,
        rounds=rounds,
        replies=counts,
        prompt_tokens=median(prompts),
        of_them_shared=engine.renderer.instruction_tokens,
    )


def _contenders(engine: Engine, label: str, model: str) -> list[Contender]:
    prefill = Contender("prefill", label, lambda reply, salt: engine.text(model, reply, 1, salt))
    digits = Contender("seven digits", label, lambda reply, salt: engine.verdict(model, reply, salt))
    json = Contender("JSON, 170 tokens", label, lambda reply, salt: engine.text(model, reply, JSON_TOKENS, salt))
    return [prefill, digits, json] if label == "base" else [prefill, digits]


async def _round(engine: Engine, contender: Contender, replies: list[Reply], clients: int) -> None:
    salt = secrets.token_hex(8)
    first, *rest = (contender.request(reply, salt) for reply in replies)
    await engine.ask(first)
    seen = await engine.ask_all(rest, clients)
    contender.per_s.append(seen.per_s)
    contender.p50_ms.append(median(seen.latencies_ms))


def _row(contender: Contender, contenders: list[Contender], clients: int) -> dict[str, object]:
    limit = next(one for one in contenders if one.name == "prefill" and one.model == contender.model)
    json = next(one for one in contenders if one.name.startswith("JSON"))
    return {
        "clients": clients,
        "model": contender.model,
        "asked for": contender.name,
        "replies/s": contender.per_s,
        "p50 ms": contender.p50_ms,
        "of the limit": [own / its for own, its in zip(contender.per_s, limit.per_s, strict=True)],
        "times JSON": [own / its for own, its in zip(contender.per_s, json.per_s, strict=True)],
    }


if __name__ == "__main__":
    typer.run(main)
