"""The agreement commands: `agreement` between two raters or with a judge's scores, and `published`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from trainer.agreement.absolute import Floats
from trainer.agreement.page import caution, html, terminal_tables
from trainer.agreement.pairing import Paired, pair, read_scores
from trainer.agreement.published import largest_gap, published_table, reliability_table
from trainer.agreement.report import N_BOOT, SEED, agreement_report
from trainer.data.schema import read_ratings
from trainer.data.split_record import Split
from trainer.errors import AgreementError


def agreement_command(
    ratings: Annotated[Path, typer.Option(help="Imported ratings (Parquet).")],
    reference: Annotated[str, typer.Option(help="The rater to agree with.")],
    out: Annotated[Path, typer.Option(help="Folder for agreement.json and agreement.html.")],
    rater: Annotated[str | None, typer.Option(help="The rater to measure; with --scores, the judge's name.")] = None,
    scores: Annotated[Path | None, typer.Option(help="A judge's scores by item (Parquet).")] = None,
    split: Annotated[Path | None, typer.Option(help="Split record; with --part.")] = None,
    part: Annotated[str | None, typer.Option(help="Only this part of the split.")] = None,
    incumbent_scores: Annotated[
        Path | None, typer.Option(help="Another judge's scores of the same answers: to tell how much better it is.")
    ] = None,
    incumbent: Annotated[
        str | None, typer.Option(help="The name of that other judge, as the packager will be given it.")
    ] = None,
    n_boot: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = N_BOOT,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = SEED,
) -> None:
    """Measure how far a rater, or a judge's scores, agree with a reference rater, with bootstrap intervals."""
    table = _selected(read_ratings(ratings), split, part)
    if rater is None and scores is None:
        raise AgreementError("name the rater to measure with --rater, or give a judge's scores with --scores")
    if (incumbent_scores is None) != (incumbent is None):
        raise AgreementError("give --incumbent and --incumbent-scores together: the report names what it compares with")
    paired = pair(table, reference, read_scores(scores) if scores else str(rater))
    report = agreement_report(
        paired.reference,
        paired.judged,
        paired.questions,
        paired.systems,
        paired.words,
        incumbent=_beside(paired, pair(table, reference, read_scores(incumbent_scores))) if incumbent_scores else None,
        n_boot=n_boot,
        seed=seed,
    )
    report = replace(report, incumbent=incumbent)
    title = f"{rater or 'judge'} against {reference}" + (f", {part} questions" if part else "")
    out.mkdir(parents=True, exist_ok=True)
    (out / "agreement.json").write_text(report.to_json() + "\n", encoding="utf-8")
    (out / "agreement.html").write_text(html(title, report, paired), encoding="utf-8")
    console = Console()
    console.print(f"[bold]{title}[/bold]: {report.n_answers} answers, {report.n_questions} questions")
    console.print(*terminal_tables(report), sep="\n")
    if text := caution(paired):
        console.print(text, style="yellow")
    console.print(f"written: {out / 'agreement.json'}, {out / 'agreement.html'}")


def _beside(candidate: Paired, incumbent: Paired) -> Floats:
    """Return the incumbent's scores, in the order of the candidate's; AgreementError if they are of other answers."""
    if candidate.items.tolist() != incumbent.items.tolist():
        raise AgreementError("--incumbent-scores are not of the answers in --scores; predict both on the same part")
    return incumbent.judged


def _selected(table: pa.Table, split: Path | None, part: str | None) -> pa.Table:
    if (split is None) != (part is None):
        raise AgreementError("give --split and --part together")
    return Split.load(split).select(table, part) if split and part else table


def published_command(
    ratings: Annotated[Path, typer.Argument(help="MentalAlign's released ratings (.csv or .csv.gz).")],
    table: Annotated[Path, typer.Argument(help="The authors' published table (CSV).")],
) -> None:
    """Recompute MentalAlign-70k's published reliability table from its ratings, and show both."""
    computed, published = reliability_table(ratings), published_table(table)
    gap = largest_gap(computed, published)
    theirs = {(row.judge, row.dimension): row for row in published}
    shown = Table("judge", "dimension", "ICC(C,1)", "published", "ICC(A,1)", "published")
    for row in computed:
        other = theirs[row.judge, row.dimension]
        cells = (row.icc_c1, other.icc_c1, row.icc_a1, other.icc_a1)
        shown.add_row(row.judge, row.dimension.value, *(f"{cell:.3f}" for cell in cells))
    console = Console()
    console.print(shown)
    console.print(f"largest difference over {2 * len(computed)} cells: {gap:.4f}")
