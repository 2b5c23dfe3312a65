"""The calibration commands: `calibrate` fits, `apply-calibration` applies."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from services.checkpoint.calibration import Calibration
from trainer.calibration.fit import fit_calibration, measured_coverage
from trainer.calibration.scores import read_predictions, reference_ratings, systems_of, write_calibrated

Scores = Annotated[Path, typer.Option(help="Scores that `predict` wrote (Parquet).")]


def calibrate_command(
    scores: Scores,
    ratings: Annotated[Path, typer.Option(help="Imported ratings (Parquet).")],
    rater: Annotated[str, typer.Option(help="The rater whose scale it is fitted to.")],
    split: Annotated[Path, typer.Option(help="Split record.")],
    out: Annotated[Path, typer.Option(help="The calibration to write (JSON).")],
    part: Annotated[str, typer.Option(help="The part to fit on; never one that was trained on.")] = "calibration",
) -> None:
    """Fit the map from a judge's distributions to a rater's scale, with intervals."""
    predictions = read_predictions(scores)
    reference = reference_ratings(predictions, ratings, rater, split, part)
    rated = ~np.isnan(reference).all(axis=1)
    systems = systems_of(predictions, ratings)
    calibration = fit_calibration(
        predictions.distributions[rated], reference[rated], [systems[row] for row in np.flatnonzero(rated)]
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
    Console().print(f"fitted on {rated.sum()} replies of part {part!r}: {out}")


def apply_calibration_command(
    scores: Scores,
    calibration: Annotated[Path, typer.Option(help="The calibration (JSON).")],
    out: Annotated[Path, typer.Option(help="The calibrated scores to write (Parquet).")],
    ratings: Annotated[Path | None, typer.Option(help="With --rater, --split, --part: measure coverage.")] = None,
    rater: Annotated[str | None, typer.Option(help="Whose ratings the intervals should hold.")] = None,
    split: Annotated[Path | None, typer.Option(help="Split record.")] = None,
    part: Annotated[str, typer.Option(help="The part to measure on.")] = "test",
) -> None:
    """Calibrate scores, and measure how many ratings the intervals hold."""
    predictions = read_predictions(scores)
    fitted = Calibration.model_validate_json(calibration.read_bytes())
    write_calibrated(predictions, fitted, out)
    console = Console()
    console.print(f"{len(predictions.item_ids)} calibrated scores: {out}")
    if ratings is None or rater is None or split is None:
        return
    reference = reference_ratings(predictions, ratings, rater, split, part)
    table = Table("dimension", f"share of ratings inside (meant: {fitted.coverage:.0%})")
    for name, share in measured_coverage(fitted, predictions.distributions, reference).items():
        table.add_row(name, f"{share:.3f}")
    console.print(table)
