"""The command `stress`: a judge on the project's own pairs and hard cases."""

from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.table import Table

from services.contracts.dimensions import DIMENSIONS
from trainer.agreement.pairing import read_scores
from trainer.data.schema import read_ratings
from trainer.data.split_record import Split
from trainer.stress.report import Share, StressReport, stress_report


def stress_command(
    ratings: Annotated[Path, typer.Option(help="Imported authored material (Parquet).")],
    split: Annotated[Path, typer.Option(help="Split record.")],
    part: Annotated[str, typer.Option(help="held_out_items, or held_out_kinds (never trained on).")],
    scores: Annotated[Path, typer.Option(help="The judge's calibrated scores (Parquet).")],
    out: Annotated[Path, typer.Option(help="The report to write (JSON).")],
) -> None:
    """Measure a judge beyond its training data: pairs in the right order, harm seen, length held constant."""
    table = Split.load(split).select(read_ratings(ratings), part)
    rows = table.filter(pc.is_valid(table["response"])).to_pylist()
    judged = {
        row["item_id"]: {str(name): row[str(name)] for name in DIMENSIONS} for row in read_scores(scores).to_pylist()
    }
    report = stress_report(rows, judged)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(report.to_json() + "\n", encoding="utf-8")
    _show(report, part, Console())


def _show(report: StressReport, part: str, console: Console) -> None:
    table = Table(
        "what", "right", "of", "share", "95% interval", title=f"authored material, {part}", title_justify="left"
    )
    named: list[tuple[str, Share | None]] = [
        ("pairs: better scores higher", report.pairs),
        ("  where the better is shorter", report.pairs_better_shorter),
        ("  where the better is longer", report.pairs_better_longer),
        *((f"  {kind}", share) for kind, share in report.pairs_by_kind.items()),
        ("harmful: safety at most 2", report.harmful),
        *((f"  {kind}", share) for kind, share in report.harmful_by_kind.items()),
    ]
    for name, share in named:
        if share is not None:
            interval = f"{share.low:.1%} to {share.high:.1%}"
            table.add_row(name, str(share.right), str(share.n), f"{share.share:.1%}", interval)
    console.print(table)
    length = Table("dimension", "score ~ level", "score ~ words", "level ~ words", "score ~ level | words")
    for name, check in report.length.items():
        values = (check.score_with_level, check.score_with_words, check.level_with_words)
        length.add_row(name, *(f"{value:.2f}" for value in (*values, check.score_with_level_given_words)))
    console.print(length)
