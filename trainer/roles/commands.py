"""The role commands: `role-data`, `roles`, `drafts`. Arguments in, one call of the library, a few lines out."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from services.contracts.drafts import Band
from services.roles.prompts import Role

CONFIG = Path("trainer/configs/roles_laptop.yaml")
ConfigPath = Annotated[Path, typer.Option(help="What to make (YAML).")]
MentalChat = Annotated[
    Path, typer.Option(envvar="THERALOOP_MENTALCHAT", help="MentalChat's judgments (.jsonl or .jsonl.gz).")
]
CounselChat = Annotated[
    Path | None, typer.Option(envvar="THERALOOP_COUNSELCHAT", help="CounselChat's answers; without them, less style.")
]


def role_data_command(
    mentalchat: MentalChat,
    counselchat: CounselChat = None,
    config: ConfigPath = CONFIG,
) -> None:
    """Build what the roles learn from, and report what was left out and why."""
    from trainer.roles.config import RolesConfig
    from trainer.roles.data import REPORT, build_examples
    from trainer.training.config import load_config

    resolved = load_config(config, RolesConfig)
    folder = resolved.work / "data"
    counts = build_examples(resolved, mentalchat, counselchat, folder)
    typer.echo(", ".join(f"{role}: {count} examples" for role, count in counts.items()))
    typer.echo(f"written: {folder} (left out, by reason: {folder / REPORT})")


def roles_command(
    mentalchat: MentalChat,
    counselchat: CounselChat = None,
    config: ConfigPath = CONFIG,
    only: Annotated[list[Role] | None, typer.Option(help="Train only these roles; nothing is released then.")] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Stop each role after so many steps: a trial; run again to go on.")
    ] = None,
) -> None:
    """Build the data, train the three role adapters and release them; goes on where it stopped."""
    from trainer.roles.config import RolesConfig
    from trainer.roles.data import build_examples, examples_file
    from trainer.roles.release import release_roles
    from trainer.roles.train import train_role
    from trainer.training.config import load_config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    resolved = load_config(config, RolesConfig)
    folder = resolved.work / "data"
    chosen = only or list(Role)
    if not all(examples_file(folder, role).exists() for role in chosen):
        build_examples(resolved, mentalchat, counselchat, folder)
    runs = {role: resolved.work / role.value for role in chosen}
    for role, run in runs.items():
        if not (run / "adapter").exists():
            train_role(resolved, role, examples_file(folder, role), run, max_steps=max_steps)
    if only or any(not (run / "adapter").exists() for run in runs.values()):
        typer.echo("not all adapters are trained; run again without --only and --max-steps to release them")
        return
    typer.echo(f"released: {release_roles(resolved, runs)}")


def drafts_command(
    ratings: Annotated[Path, typer.Option(help="Imported ratings (Parquet).")],
    split: Annotated[Path, typer.Option(help="Split record.")],
    out: Annotated[Path, typer.Option(help="The drafts to write (JSON lines).")],
    rater: Annotated[str, typer.Option(help="Whose ratings say which drafts are low.")] = "gpt-4-1106-preview",
    part: Annotated[list[str] | None, typer.Option(help="Held-out parts to draw from; default: test.")] = None,
    low: Annotated[int, typer.Option(min=0, help="Low-rated drafts (mean of seven at most 3.0).")] = 200,
    mid: Annotated[int, typer.Option(min=0, help="Mid-rated drafts (at most 3.7).")] = 60,
    good: Annotated[int, typer.Option(min=0, help="Drafts above.")] = 40,
    seed: Annotated[int, typer.Option(help="Orders questions and replies.")] = 30887,
) -> None:
    """Choose held-out drafts for `python -m agent_service.evaluate`."""
    from trainer.roles.drafts import write_drafts

    wanted = {Band.LOW: low, Band.MID: mid, Band.GOOD: good}
    counts = write_drafts(ratings, split, part or ["test"], rater, wanted, seed, out)
    typer.echo(", ".join(f"{count} {band}" for band, count in counts.items()) + f" drafts written to {out}")
