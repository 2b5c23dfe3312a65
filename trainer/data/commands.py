"""The data commands: `import`, `split` and `card`. Arguments in, one call of the library, a few lines out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from trainer.data.card import data_card, response_lengths
from trainer.data.card_page import html
from trainer.data.importer import ImportReport, import_ratings
from trainer.data.schema import read_ratings
from trainer.data.sources.authored import authored
from trainer.data.sources.counselchat import counselchat
from trainer.data.sources.mentalalign import mentalalign
from trainer.data.sources.mentalchat import mentalchat
from trainer.data.sources.ratings import ratings
from trainer.data.split_config import load_split_config
from trainer.data.split_record import Split
from trainer.data.splits import make_split

SPLITS_CONFIG = Path(__file__).parents[1] / "configs" / "splits.yaml"


class SourceName(StrEnum):
    """The importers."""

    MENTALCHAT = "mentalchat"
    MENTALALIGN = "mentalalign"
    COUNSELCHAT = "counselchat"
    RATINGS = "ratings"
    AUTHORED = "authored"


_SOURCES = {
    SourceName.MENTALCHAT: mentalchat,
    SourceName.MENTALALIGN: mentalalign,
    SourceName.COUNSELCHAT: counselchat,
    SourceName.RATINGS: ratings,
    SourceName.AUTHORED: authored,
}


def import_command(
    path: Annotated[Path, typer.Argument(help="The source's file (for `authored`: the material folder).")],
    source: Annotated[SourceName, typer.Option(help="Which importer reads it.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    report: Annotated[Path | None, typer.Option(help="The report of refused rows; default: OUT.report.json.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")] = False,
) -> None:
    """Read ratings into the trainer's Parquet schema; bad rows are counted, listed in the report, and left out."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:

        def open_file(file: Path) -> BinaryIO:
            return progress.open(file, "rb", description=file.name)

        result = import_ratings(_SOURCES[source](path), out, strict=strict, open_file=open_file)
    report_path = report or out.with_suffix(".report.json")
    report_path.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _show_import(result, out, report_path)


def _show_import(result: ImportReport, out: Path, report: Path) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(result.refused.items())) or "none"
    typer.echo(f"{result.records_read} records read, {result.rows_written} rows written to {out}")
    typer.echo(f"refused: {reasons} (listed in {report})")


def split_command(
    ratings: Annotated[list[Path], typer.Option(help="Imported Parquet file; may be given more than once.")],
    name: Annotated[str, typer.Option(help="The entry of the configuration.")],
    out: Annotated[Path, typer.Option(help="The split record (JSON) to write.")],
    config: Annotated[Path, typer.Option(help="The splits' configuration.")] = SPLITS_CONFIG,
) -> None:
    """Deal whole questions into parts, check that nothing leaks, and record which question is where."""
    split = make_split(name, load_split_config(config, name), ratings)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(split.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _show_split(split)


def _show_split(split: Split) -> None:
    table = Table("part", "questions", "replies", "ratings", "replies left out", title=f"split {split.name}")
    for name, part in split.parts.items():
        left_out = len({row.item_id for row in split.excluded if row.part == name})
        table.add_row(name, *(str(n) for n in (len(part.groups), part.items, part.rows, left_out)))
    Console().print(table)
    if split.held_out_kinds:
        typer.echo(f"kinds never trained on: {', '.join(split.held_out_kinds)}")


def card_command(
    ratings: Annotated[Path, typer.Option(help="Imported ratings (Parquet).")],
    out: Annotated[Path, typer.Option(help="Folder for card.json and card.html.")],
    split: Annotated[Path | None, typer.Option(help="Split record, to count its parts.")] = None,
) -> None:
    """Describe a ratings table: counts, score histograms, rater agreement, lengths."""
    table = read_ratings(ratings)
    card = data_card(table, Split.load(split) if split else None)
    out.mkdir(parents=True, exist_ok=True)
    (out / "card.json").write_text(card.to_json() + "\n", encoding="utf-8")
    (out / "card.html").write_text(html(f"Data card: {ratings.stem}", card, response_lengths(table)), encoding="utf-8")
    counts = card.counts
    typer.echo(f"{counts.ratings} ratings of {counts.replies} replies to {counts.questions} questions")
    typer.echo(f"written: {out / 'card.json'}, {out / 'card.html'}")
