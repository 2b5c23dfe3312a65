"""The training commands: `sft`. Arguments in, one call of the library, a few lines out."""

import logging
from pathlib import Path
from typing import Annotated

import typer


def sft_command(
    config: Annotated[Path, typer.Option(help="The run's YAML.")],
    out: Annotated[Path, typer.Option(help="The run's folder; a run that stopped in it is continued.")],
) -> None:
    """Train an adapter on ratings: the supervised warm start."""
    from trainer.training.config import SftConfig, load_config
    from trainer.training.sft import train_sft

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    typer.echo(train_sft(load_config(config, SftConfig), out))
