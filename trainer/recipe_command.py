"""The command `train`: everything from the raw ratings to the packaged checkpoint."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

RECIPE = Path("trainer/configs/judge_laptop.yaml")


def train_command(
    ratings: Annotated[
        Path,
        typer.Option(envvar="THERALOOP_RATINGS", help="The ratings, in the form that the recipe names."),
    ],
    recipe: Annotated[Path, typer.Option(help="What to make (YAML).")] = RECIPE,
    version: Annotated[str | None, typer.Option(help="Name of the checkpoint, instead of the recipe's.")] = None,
) -> None:
    """Make a checkpoint: import, split, train, score, calibrate, measure, package. Goes on where it stopped."""
    from trainer.recipe import Recipe, train
    from trainer.training.config import load_config

    wanted = load_config(recipe, Recipe)
    train(wanted.model_copy(update={"version": version}) if version else wanted, ratings, Console())
