"""The agreement report for people: the HTML page, and the terminal's tables."""

from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from trainer.agreement import figures
from trainer.agreement.numbers import estimate_text, number_text
from trainer.agreement.pairing import Paired
from trainer.agreement.report import AgreementReport
from trainer.report.page import render

_COLUMNS: Final = ("n", "ICC(A,1)", "ICC(C,1)", "rho", "MAE", "bias", "CCC", "kappa")
_PROXY_CAUTION: Final = (
    "MentalChat's ratings are by LLM raters on other scales, mapped to the seven dimensions as proxies. "
    "They are not clinicians' scores, and agreement with them is not agreement with clinicians."
)


def caution(paired: Paired) -> str:
    """Return what must be said beside any figure made from these ratings; empty if nothing."""
    return _PROXY_CAUTION if "mentalchat" in paired.sources else ""


def html(title: str, report: AgreementReport, paired: Paired) -> str:
    """Return the report as one self-contained page."""
    levels = (
        ("Per answer", "Every answer counts once.", report.per_answer),
        (
            "Per system mean",
            "The mean of each system's answers, as MentalAlign-70k's authors compare.",
            report.per_system,
        ),
    )
    return render(
        "agreement.html.j2",
        {"estimate": estimate_text, "number": number_text},
        title=title,
        report=report,
        caution=caution(paired),
        levels=levels,
        forest=figures.forest(report),
        bland_altman=figures.bland_altman(paired),
        calibration=figures.calibration(paired),
        by_system=figures.by_system(paired) if report.per_system else "",
        halo=figures.halo(report),
    )


def terminal_tables(report: AgreementReport) -> list[Table]:
    """Return the tables for the terminal: per answer; per system and over the incumbent where there are such."""
    tables = []
    for title, rows in (("per answer", report.per_answer), ("per system mean", report.per_system)):
        if not rows:
            continue
        table = Table(Column("dimension", no_wrap=True), *_COLUMNS, title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name, row in rows.items():
            others = (row.spearman, row.mae, row.bias, row.ccc, row.weighted_kappa)
            values = (number_text(other.value if other else None) for other in others)
            table.add_row(name, str(row.n), estimate_text(row.icc_a1), estimate_text(row.icc_c1), *values)
        tables.append(table)
    if report.over_incumbent:
        title = f"per answer, same answers as {report.incumbent or 'the incumbent'}"
        table = Table("dimension", "ICC(A,1) minus the incumbent's", title=title, box=SIMPLE_HEAD)
        for name, difference in report.over_incumbent.items():
            table.add_row(name, estimate_text(difference))
        tables.append(table)
    return tables
