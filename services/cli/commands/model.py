"""`theraloop model`: the base model that the engine serves."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field

from services.cli import options
from services.cli.context import context_of
from services.cli.errors import UsageProblem
from services.cli.views.model import model_view
from services.engine.progress import Progress

app = typer.Typer(no_args_is_help=True, help="Provide the base model and name it exactly.")
_ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="`embedded`, a model folder, or a hub id.")]
_EMBEDDED = "embedded"


class ModelReport(BaseModel):
    """A model that is ready to serve."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The name under which the engine serves it.")
    source: str = Field(description="`embedded`, `folder` or `hub`.")
    path: Path = Field(description="Its local folder.")
    fingerprint: str = Field(description="The sha256 over what determines its outputs.")


@app.command("show")
def show(ctx: typer.Context, as_json: options.AsJson = False) -> None:
    """Show the model of the running stack, else the embedded one if it has been provisioned."""
    context = context_of(ctx)
    stack = context.find_stack()
    if stack is not None:
        report = ModelReport(name=stack.model, source="running", path=stack.model_path, fingerprint=stack.fingerprint)
    else:
        from services.engine.provision import default_cache_dir, embedded_folder

        if not embedded_folder(default_cache_dir()).is_dir():
            raise UsageProblem("the embedded model is not here yet; `theraloop model provision` makes it")
        report = _provision(_EMBEDDED, lambda _: None)
    _tell(ctx, report, as_json=as_json)


@app.command("provision")
def provide(ctx: typer.Context, model: _ModelArgument = _EMBEDDED, as_json: options.AsJson = False) -> None:
    """Make a model available locally, ready for the engine."""
    terminal = context_of(ctx).terminal

    def tell(progress: Progress) -> None:
        counted = f" ({progress.done} of {progress.total})" if progress.total else ""
        terminal.note(f"{progress.step}: {progress.detail}{counted}")

    _tell(ctx, _provision(model, tell), as_json=as_json)


@app.command("fingerprint")
def fingerprint(
    ctx: typer.Context, folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder.")]
) -> None:
    """Print a model folder's fingerprint."""
    from services.engine.fingerprint import fingerprint_model
    from services.engine.provision import default_cache_dir

    context_of(ctx).terminal.data(fingerprint_model(folder, default_cache_dir()))


def _provision(model: str, tell: Callable[[Progress], None]) -> ModelReport:
    from services.engine.provision import default_cache_dir, provision

    ready = provision(model, default_cache_dir(), tell)
    return ModelReport(name=ready.name, source=ready.source, path=ready.path, fingerprint=ready.fingerprint)


def _tell(ctx: typer.Context, report: ModelReport, *, as_json: bool) -> None:
    terminal = context_of(ctx).terminal
    if as_json:
        terminal.data(report.model_dump_json(indent=2))
    else:
        terminal.show(model_view(report.name, report.source, report.path, report.fingerprint))
