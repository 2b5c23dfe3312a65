"""Puts two raters' scores of the same replies side by side, as the arrays that `agreement_report` takes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from services.contracts.dimensions import DIMENSIONS, MAX_SCORE, MIN_SCORE
from trainer.agreement.absolute import Floats
from trainer.errors import AgreementError

_NAMES = [dimension.value for dimension in DIMENSIONS]


@dataclass(frozen=True)
class Paired:
    """Replies that both rated: scores [n, 7]; item, question, system and number of words (NaN without text) [n]."""

    items: NDArray[np.str_]
    reference: Floats
    judged: Floats
    questions: NDArray[np.str_]
    systems: NDArray[np.str_]
    words: Floats
    sources: frozenset[str]


def read_scores(path: Path) -> pa.Table:
    """Return a judge's scores file: Parquet with `item_id` (once each) and the seven dimensions in 1..5."""
    try:
        table = pq.read_table(path, columns=["item_id", *_NAMES])
    except (OSError, pa.ArrowInvalid) as error:
        raise AgreementError(f"{path}: must be Parquet with the columns item_id, {', '.join(_NAMES)}") from error
    if pc.count_distinct(table["item_id"]).as_py() != table.num_rows:
        raise AgreementError(f"{path}: an item_id occurs more than once")
    for name in _NAMES:
        inside = pc.and_(pc.greater_equal(table[name], MIN_SCORE), pc.less_equal(table[name], MAX_SCORE))
        if not pc.all(inside, skip_nulls=False).as_py():
            raise AgreementError(f"{path}: {name} has a value that is missing or outside 1..5")
    return table


def pair(ratings: pa.Table, reference: str, judge: str | pa.Table) -> Paired:
    """Return the replies rated by `reference` and by the judge: another rater's name, or a table of scores by item.

    Raises AgreementError where a rater is unknown or no reply was rated by both.
    """
    keys = ["item_id"] if isinstance(judge, pa.Table) else ["item_id", "system", "pair_id"]
    judged = judge if isinstance(judge, pa.Table) else _of_rater(ratings, judge)
    judged = judged.select([*keys, *_NAMES]).rename_columns([*keys, *(f"judged_{name}" for name in _NAMES)])
    both = _of_rater(ratings, reference).join(judged, keys, join_type="inner")
    if both.num_rows == 0:
        raise AgreementError(f"no reply was rated both by {reference} and by the judge")
    both = both.sort_by([("item_id", "ascending"), ("system", "ascending"), ("pair_id", "ascending")])
    return Paired(
        items=np.array(both["item_id"].to_pylist()),
        reference=_scores(both, _NAMES),
        judged=_scores(both, [f"judged_{name}" for name in _NAMES]),
        questions=np.array(both["split_group"].to_pylist()),
        systems=np.array(both["system"].to_pylist()),
        words=np.array([np.nan if text is None else len(text.split()) for text in both["response"].to_pylist()]),
        sources=frozenset(both["source"].to_pylist()),
    )


def _of_rater(ratings: pa.Table, rater: str) -> pa.Table:
    rows = ratings.filter(pc.equal(ratings["rater"], rater))
    if rows.num_rows == 0:
        known = ", ".join(sorted(set(ratings["rater"].to_pylist()))) or "none"
        raise AgreementError(f"no ratings by {rater!r}; raters here: {known}")
    # Null keys never join; an item that is in no pair gets the empty name.
    return rows.set_column(rows.schema.get_field_index("pair_id"), "pair_id", pc.fill_null(rows["pair_id"], ""))


def _scores(table: pa.Table, columns: list[str]) -> Floats:
    return np.column_stack([table[name].to_numpy().astype(np.float64) for name in columns])
