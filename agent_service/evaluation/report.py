"""The report: one self-contained HTML page and its figures as JSON. Examples are chosen by rank, not by hand.

The page holds drafts and replies in full: the data is public and de-identified.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import TypeAdapter

from agent_service.evaluation.records import Record
from agent_service.evaluation.statistics import Cost, Group, Interval, Row, ahead, cost, row
from agent_service.evaluation.variants import PLANS, Variant
from services.contracts.dimensions import DIMENSIONS

RANKS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Examples: the low drafts whose gain has these ranks, from the worst to the best."""
WORST: Final = 5
"""And so many of the drafts, of whatever band, that lost most."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far the full loop is ahead of a variant on the same drafts."""

    variant: Variant
    group: Group
    ahead: Interval


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """All figures."""

    drafts: int
    questions: int
    steered_by: tuple[str, ...]
    verdict_by: tuple[str, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    costs: tuple[Cost, ...]
    notes: dict[str, dict[str, int]]
    refusals: dict[str, dict[str, int]]


def summarise(records: Sequence[Record]) -> EvaluationReport:
    """Return the figures of all variants that the records hold."""
    variants = [variant for variant in Variant if any(record.variant is variant for record in records)]
    rows = [row(records, variant, group) for variant in variants for group in Group]
    return EvaluationReport(
        drafts=len({record.draft_id for record in records}),
        questions=len({record.question for record in records}),
        steered_by=tuple(sorted({record.steered_by or "none" for record in records})),
        verdict_by=tuple(sorted({record.verdict_by for record in records})),
        rows=tuple(item for item in rows if item is not None),
        comparisons=tuple(
            Comparison(variant, group, ahead(records, variant, group))
            for variant in variants
            if variant is not Variant.FULL and Variant.FULL in variants
            for group in (Group.ALL, Group.LOW_BY_RATERS)
        ),
        costs=tuple(item for variant in variants if (item := cost(records, variant)) is not None),
        notes={variant.value: _counted(records, variant, "notes") for variant in variants},
        refusals={variant.value: _counted(records, variant, "refusals") for variant in variants},
    )


def examples(records: Sequence[Record]) -> list[Record]:
    """Return the full loop's examples: low drafts by rank of gain, then those of any band that lost most."""
    full = sorted((r for r in records if r.variant is Variant.FULL), key=lambda r: (r.gain, r.draft_id))
    low = [record for record in full if record.band == "low"]
    ranked = [low[round(rank * (len(low) - 1))] for rank in RANKS] if low else []
    chosen = {record.key: record for record in (*ranked, *full[:WORST])}
    return list(chosen.values())


def write_report(records: Sequence[Record], out: Path) -> EvaluationReport:
    """Write `report.html` and `report.json` to `out` and return the figures."""
    report = summarise(records)
    (out / "report.json").write_bytes(TypeAdapter(EvaluationReport).dump_json(report, indent=2))
    environment = Environment(
        loader=PackageLoader("agent_service.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "share": _share}
    page = environment.get_template("report.html.j2").render(
        report=report, plans=PLANS, names=[name.value for name in DIMENSIONS], examples=examples(records)
    )
    (out / "report.html").write_text(page, encoding="utf-8")
    return report


def _figure(found: Interval) -> str:
    if found.value is None:
        return "–"
    return f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def _share(found: Interval) -> str:
    if found.value is None:
        return "–"
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"


def _counted(records: Sequence[Record], variant: Variant, what: str) -> dict[str, int]:
    chosen = [record for record in records if record.variant is variant]
    return dict(Counter(name.split(":", 1)[0] for record in chosen for name in getattr(record, what)).most_common())
