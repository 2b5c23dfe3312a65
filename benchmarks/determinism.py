"""How far a score moves with what else the engine does: `python benchmarks/determinism.py [--adapter CHECKPOINT]`.

The same replies are judged alone, alone again (their prompts then come from the engine's prefix cache), 16 at a time,
and 16 at a time beside other clients who have text written. bfloat16 products round differently with the shape of a
batch; and a digit that is a near-tie can flip, which moves all later scores of that reply. `--trainer` also judges
them by the trainer's forward pass, which a checkpoint's golden scores come from.
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
    trainer: bool = typer.Option(default=False, help="Also compare with the trainer's forward pass."),
) -> None:
    """Judge `replies` replies in each way; scores are calibrated when the checkpoint brings a calibration."""
    asyncio.run(_measure(engine, adapter, material(replies, seed=seed), trainer))


async def _measure(url: str | None, adapter: AdapterFolder, replies: list[Reply], trainer: bool) -> None:
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
                if trainer:
                    folder = adapter if label == "adapter" else None
                    ways["trainer's forward pass"] = await asyncio.to_thread(_trainer, engine, folder, replies)
                rows += [_row(label, way, alone, verdicts, calibration) for way, verdicts in ways.items()]
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


def _trainer(engine: Engine, adapter: Path | None, replies: Sequence[Reply]) -> Verdicts:
    import torch

    from trainer.training.config import ModelConfig
    from trainer.training.model import judge_model, load_base, most_likely, with_adapter
    from trainer.training.token_tree import TokenPath

    base = load_base(ModelConfig(base=engine.folder))
    causal = base if adapter is None else with_adapter(base, adapter)
    judge = judge_model(causal.eval(), engine.renderer.tokenizer.level_ids, torch.device("cpu"))
    prompts = [engine.renderer.render(reply.turns, reply.text) for reply in replies]
    paths = [TokenPath(prompt.prefix_ids, prompt.suffix_ids) for prompt in prompts]
    parts = [judge.decode(paths[at : at + 8], most_likely).distributions for at in range(0, len(paths), 8)]
    rows = torch.cat(parts).double().tolist()
    return [tuple(LevelDistribution(tuple(probabilities)) for probabilities in row) for row in rows]


def _calibration(checkpoint: Path | None) -> Calibration:
    file = checkpoint / "calibration.json" if checkpoint else None
    return Calibration.model_validate_json(file.read_bytes()) if file and file.is_file() else Calibration.identity()


def _row(model: str, way: str, alone: Verdicts, other: Verdicts, calibration: Calibration) -> dict[str, object]:
    before, after = (_scores(verdicts, calibration) for verdicts in (alone, other))
    moved = np.abs(before - after)
    overall = np.abs(before.mean(axis=1) - after.mean(axis=1))
    flipped = [_levels(one) != _levels(two) for one, two in zip(alone, other, strict=True)]
    return {
        "model": model,
        "judged": way,
        "a score, max": float(moved.max()),
        "p99": float(np.quantile(moved, 0.99)),
        "p50": float(np.quantile(moved, 0.5)),
        "overall, max": float(overall.max()),
        "replies with another digit": sum(flipped),
    }


def _scores(verdicts: Verdicts, calibration: Calibration) -> Floats:
    maps = [calibration.dimensions[name] for name in DIMENSIONS]
    return np.array([[one.apply(p).score for one, p in zip(maps, verdict, strict=True)] for verdict in verdicts])


def _levels(verdict: tuple[LevelDistribution, ...]) -> list[int]:
    """Return the digits up to the last but one: those that later scores depend on."""
    return [int(np.argmax(distribution.probabilities)) for distribution in verdict[:-1]]


if __name__ == "__main__":
    typer.run(main)
