"""Reproduces the reliability table that MentalAlign-70k's authors published (Badawi et al. 2025, arXiv 2510.19032).

They compared means per system (n = 9: the judge's own family left out, the human-written `original` kept) over the
answers that both the clinicians and the judge rated, taken as released: the few cells outside 1..5 included. So the
file is read raw here, not through the importer, which refuses those rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from services.contracts.dimensions import DIMENSIONS, Dimension
from trainer.agreement.absolute import Floats, icc_a1, icc_c1
from trainer.errors import AgreementError

REFERENCE: Final = "human"
OWN_FAMILY: Final = {"claude": "claude", "gpt-4o": "gpt4o", "gemini": "gemini", "o4-mini": "gpt4omini"}


@dataclass(frozen=True)
class Reliability:
    """One judge on one dimension against the clinicians."""

    judge: str
    dimension: Dimension
    icc_c1: float
    icc_a1: float


def reliability_table(ratings: Path) -> tuple[Reliability, ...]:
    """Return the table computed from the released ratings file (.csv or .csv.gz)."""
    table = _read(ratings)
    human = _of_rater(table, REFERENCE)
    rows: list[Reliability] = []
    for judge, family in OWN_FAMILY.items():
        both = human.join(
            _of_rater(table, judge), ["conversation_id", "system"], join_type="inner", right_suffix="_judge"
        )
        kept = both.filter(pc.not_equal(both["system"], family))
        for dimension in DIMENSIONS:
            reference, judged = _means(kept, dimension.value, f"{dimension.value}_judge")
            rows.append(
                Reliability(judge, dimension, float(icc_c1(reference, judged)), float(icc_a1(reference, judged)))
            )
    return tuple(rows)


def published_table(path: Path) -> tuple[Reliability, ...]:
    """Return the authors' table from its file: judge, dimension, icc_c1, icc_a1."""
    rows = _read(path).to_pylist()
    try:
        return tuple(
            Reliability(row["judge"], Dimension(row["dimension"]), row["icc_c1"], row["icc_a1"]) for row in rows
        )
    except (KeyError, ValueError) as error:
        raise AgreementError(f"{path}: must have the columns judge, dimension, icc_c1, icc_a1") from error


def largest_gap(computed: Iterable[Reliability], published: Iterable[Reliability]) -> float:
    """Return the largest absolute difference over all cells; AgreementError unless both tables have the same rows."""
    ours = {(row.judge, row.dimension): row for row in computed}
    theirs = {(row.judge, row.dimension): row for row in published}
    if ours.keys() != theirs.keys():
        raise AgreementError("the two tables do not name the same judges and dimensions")
    return max(
        max(abs(row.icc_c1 - theirs[key].icc_c1), abs(row.icc_a1 - theirs[key].icc_a1)) for key, row in ours.items()
    )


def _read(path: Path) -> pa.Table:
    try:
        return csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise AgreementError(f"{path}: not readable as CSV") from error


def _of_rater(table: pa.Table, rater: str) -> pa.Table:
    return table.filter(pc.equal(table["rater"], rater)).drop_columns(["rater"])


def _means(table: pa.Table, *columns: str) -> tuple[Floats, Floats]:
    means = table.group_by("system").aggregate([(column, "mean") for column in columns]).sort_by("system")
    reference, judged = (np.asarray(means[f"{column}_mean"], dtype=np.float64) for column in columns)
    return reference, judged
