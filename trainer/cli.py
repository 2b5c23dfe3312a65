"""`python -m trainer`: the list of commands, and the one place where a TrainerError becomes a line and exit code 1.

A command lives beside what it calls and is added here by one line. It must import torch inside its function, so that
the data and agreement commands start without it.
"""

import typer

from trainer.agreement import commands as agreement
from trainer.calibration import commands as calibration
from trainer.data import commands as data
from trainer.errors import TrainerError
from trainer.packaging import commands as packaging
from trainer.recipe_command import train_command
from trainer.roles import commands as roles
from trainer.stress import commands as stress
from trainer.training import commands as training

app = typer.Typer(
    name="trainer",
    help="Human ratings in, a packaged judge checkpoint out.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command("import")(data.import_command)
app.command("split")(data.split_command)
app.command("card")(data.card_command)
app.command("sft")(training.sft_command)
app.command("grpo")(training.grpo_command)
app.command("predict")(training.predict_command)
app.command("calibrate")(calibration.calibrate_command)
app.command("apply-calibration")(calibration.apply_calibration_command)
app.command("agreement")(agreement.agreement_command)
app.command("published")(agreement.published_command)
app.command("stress")(stress.stress_command)
app.command("package")(packaging.package_command)
app.command("index")(packaging.index_command)
app.command("train")(train_command)
app.command("role-data")(roles.role_data_command)
app.command("roles")(roles.roles_command)
app.command("drafts")(roles.drafts_command)
app.command("inspect")(packaging.inspect_command)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except TrainerError as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
        raise SystemExit(1) from error
