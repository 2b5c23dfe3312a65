"""How far a score moves with what else the engine does: `python benchmarks/determinism.py [--adapter CHECKPOINT]`.

The same replies are judged alone, alone again (their prompts then come from the engine's prefix cache), 16 at a time,
and 16 at a time beside other clients who have text written. bfloat16 products round differently with the shape of a
batch; and a digit that is a near-tie can flip, which moves all later scores of that reply. Scores are calibrated when
the checkpoint brings a calibration; its golden cases also tell how far the engine is from the trainer's forward pass.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks._harness import AdapterFolder, Engine, EngineUrl, Reply, Report, connection, material
from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.contracts.conversation import turns_of
from services.contracts.dimensions import DIMENSIONS
from services.rubric.verdict import LevelDistribution, read_verdict

CLIENTS: Final = 16
BUSY_CLIENTS: Final = 4
Verdicts = list[tuple[LevelDistribution, ...]]
Floats = NDArray[np.float64]


def main(
    engine: EngineUrl = None,
    adapter: AdapterFolder = None,
    replies: int = 64,
    seed: int = 0,
) -> None:
    """Judge `replies` replies in each way."""
    asyncio.run(_measure(engine, adapter, material(replies, seed=seed)))


async def _measure(url: str | None, adapter: AdapterFolder, replies: list[Reply]) -> None:
    report, rows = Report("determinism"), list[dict[str, object]]()
    async with connection() as http:
        engine = await Engine.connect(http, url)
        async with engine.models(adapter) as models:
            for label, name in models.items():
                calibration = _calibration(adapter if label == "adapter" else None)
                salt = secrets.token_hex(8)
                alone = await _judged(engine, name, replies, salt, clients=1)
                ways = {"alone again, prompt cached": await _judged(engine, name, replies, salt, clients=1)}
                ways[f"{CLIENTS} at a time"] = await _judged(engine, name, replies, secrets.token_hex(8))
                async with _other_clients(engine):
                    ways["the same beside other clients"] = await _judged(engine, name, replies, secrets.token_hex(8))
                first = _scores(alone, calibration)
                rows += [
                    _row(label, way, first, _scores(verdicts, calibration)) | _flipped(alone, verdicts)
                    for way, verdicts in ways.items()
                ]
                if label == "adapter" and adapter is not None and (adapter / "golden.jsonl").is_file():
                    rows.append(
                        await _golden(engine, name, adapter, calibration) | {"replies with another digit": None}
                    )
    report.show(rows, engine, replies=len(replies), baseline="each reply judged alone")


async def _judged(engine: Engine, model: str, replies: Sequence[Reply], salt: str, clients: int = CLIENTS) -> Verdicts:
    requests = [engine.verdict(model, reply, salt) for reply in replies]
    levels = engine.renderer.tokenizer.level_ids
    answers = (await engine.ask_all(requests, clients)).answers
    return [read_verdict(answer.choices[0].top_logprobs, levels) for answer in answers]


@asynccontextmanager
async def _other_clients(engine: Engine) -> AsyncIterator[None]:
    """Have some clients draw text from the base model all the while."""

    async def keep_busy(reply: Reply) -> None:
        while True:
            await engine.ask(engine.text(engine.base, reply.fresh(), 64))

    tasks = [asyncio.create_task(keep_busy(reply)) for reply in material(BUSY_CLIENTS, seed=1)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _golden(engine: Engine, model: str, checkpoint: Path, calibration: Calibration) -> dict[str, object]:
    """Return how far the engine is from the trainer's forward pass on the checkpoint's golden cases."""
    lines = (checkpoint / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [GoldenCase.model_validate_json(line) for line in lines]
    replies = [Reply(turns_of(case.context), case.response) for case in cases]
    served = _scores(await _judged(engine, model, replies, secrets.token_hex(8)), calibration)
    expected = np.array([[case.scores[name] for name in DIMENSIONS] for case in cases])
    return _row("adapter", "golden cases, against the trainer's forward pass", expected, served)


def _calibration(checkpoint: Path | None) -> Calibration:
    file = checkpoint / "calibration.json" if checkpoint else None
    return Calibration.model_validate_json(file.read_bytes()) if file and file.is_file() else Calibration.identity()


def _row(model: str, way: str, before: Floats, after: Floats) -> dict[str, object]:
    moved = np.abs(before - after)
    overall = np.abs(before.mean(axis=1) - after.mean(axis=1))
    return {
        "model": model,
        "judged": way,
        "a score, max": float(moved.max()),
        "p99": float(np.quantile(moved, 0.99)),
        "p50": float(np.quantile(moved, 0.5)),
        "overall, max": float(overall.max()),
    }


def _flipped(one: Verdicts, other: Verdicts) -> dict[str, object]:
    return {"replies with another digit": sum(_levels(a) != _levels(b) for a, b in zip(one, other, strict=True))}


def _scores(verdicts: Verdicts, calibration: Calibration) -> Floats:
    maps = [calibration.dimensions[name] for name in DIMENSIONS]
    return np.array([[one.apply(p).score for one, p in zip(maps, verdict, strict=True)] for verdict in verdicts])


def _levels(verdict: tuple[LevelDistribution, ...]) -> list[int]:
    """Return the digits up to the last but one: those that later scores depend on."""
    return [int(np.argmax(distribution.probabilities)) for distribution in verdict[:-1]]


if __name__ == "__main__":
    typer.run(main)
