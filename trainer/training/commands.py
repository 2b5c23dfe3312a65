"""The training commands: `sft`, `grpo`, `predict`. Arguments in, one call of the library, a line out."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from trainer.errors import TrainingConfigError

ConfigPath = Annotated[Path, typer.Option(help="The run's YAML.")]
RunFolder = Annotated[Path, typer.Option(help="The run's folder; a run that stopped in it is continued.")]


def sft_command(config: ConfigPath, out: RunFolder) -> None:
    """Train an adapter on ratings: the supervised warm start."""
    from trainer.training.config import SftConfig, load_config
    from trainer.training.sft import train_sft

    _log_to_console()
    typer.echo(f"adapter: {train_sft(load_config(config, SftConfig), out)}")


def grpo_command(config: ConfigPath, out: RunFolder) -> None:
    """Train a supervised adapter further on the reward of sampled verdicts (GRPO)."""
    from trainer.training.config import GrpoConfig, load_config
    from trainer.training.grpo import train_grpo

    _log_to_console()
    typer.echo(f"adapter: {train_grpo(load_config(config, GrpoConfig), out)}")


def predict_command(
    base: Annotated[Path, typer.Option(help="Folder of the base model.")],
    ratings: Annotated[Path, typer.Option(help="Imported ratings (Parquet) whose replies are scored.")],
    out: Annotated[Path, typer.Option(help="The scores file to write (Parquet).")],
    adapter: Annotated[Path | None, typer.Option(help="An adapter's folder; without it the base is asked.")] = None,
    split: Annotated[Path | None, typer.Option(help="Split record; with --part.")] = None,
    part: Annotated[str | None, typer.Option(help="Only this part of the split.")] = None,
    tokens: Annotated[int, typer.Option(min=256, help="Packed tokens at once; what memory depends on.")] = 8192,
    window_tokens: Annotated[int, typer.Option(min=512, help="Prompt and verdict together.")] = 2048,
) -> None:
    """Score replies with a base model or an adapter as the judge service does, before calibration."""
    from trainer.training.config import ModelConfig
    from trainer.training.predict import predict

    if (split is None) != (part is None):
        raise TrainingConfigError("give --split and --part together")
    _log_to_console()
    model = ModelConfig(base=base, window_tokens=window_tokens)
    selected = (split, part) if split is not None and part is not None else None
    count = predict(model, adapter, ratings, out, split=selected, tokens=tokens)
    typer.echo(f"{count} replies scored: {out}")


def _log_to_console() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
