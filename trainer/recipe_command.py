"""The command `train`: everything from the raw ratings to the packaged checkpoint."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

RECIPE = Path("trainer/configs/judge_laptop.yaml")


def train_command(
    mentalchat: Annotated[
        Path, typer.Option(envvar="THERALOOP_MENTALCHAT", help="MentalChat's judgments (.jsonl or .jsonl.gz).")
    ],
    recipe: Annotated[Path, typer.Option(help="What to make (YAML).")] = RECIPE,
) -> None:
    """Make a checkpoint: import, split, train, score, calibrate, measure, package. Goes on where it stopped."""
    from trainer.recipe import Recipe, train
    from trainer.training.config import load_config

    train(load_config(recipe, Recipe), mentalchat, Console())
