"""The scores files that `predict` writes, as arrays; and the same with a calibration applied, for `agreement`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.checkpoint.calibration import Calibration
from services.contracts.dimensions import DIMENSIONS, LEVELS
from trainer.calibration.fit import Floats, apply_calibration
from trainer.data.schema import read_ratings
from trainer.data.split_record import Split
from trainer.errors import DataError


@dataclass(frozen=True)
class Predictions:
    """What a judge said of n replies: their ids, in the file's order, and distributions (n, 7, 5)."""

    item_ids: tuple[str, ...]
    distributions: Floats


def read_predictions(path: Path) -> Predictions:
    """Return the predictions in a scores file.

    Raises:
        DataError: it is not a file that `predict` wrote.
    """
    columns = [f"{name}_distribution" for name in DIMENSIONS]
    try:
        table = pq.read_table(path, columns=["item_id", *columns])
        stacked = np.stack([np.array(table[column].to_pylist(), dtype=np.float64) for column in columns], axis=1)
    except (OSError, pa.ArrowInvalid, ValueError) as error:
        raise DataError(f"{path}: not a scores file; write one with `python -m trainer predict`") from error
    if stacked.shape != (table.num_rows, len(DIMENSIONS), len(LEVELS)):
        raise DataError(f"{path}: every distribution must have {len(LEVELS)} probabilities")
    return Predictions(tuple(table["item_id"].to_pylist()), stacked)


def reference_ratings(predictions: Predictions, ratings: Path, rater: str, split: Path, part: str) -> Floats:
    """Return the ratings (n, 7) that `rater` gave the predicted replies of a part; NaN where there is none.

    A reply that several systems gave, or that is in several pairs, is one item: its ratings are averaged.

    Raises:
        DataError: none of the replies is rated.
    """
    table = Split.load(split).select(read_ratings(ratings), part)
    table = table.filter(pc.equal(table["rater"], rater))
    names = [str(name) for name in DIMENSIONS]
    means = table.group_by("item_id").aggregate([(name, "mean") for name in names])
    columns = [means[f"{name}_mean"].to_numpy() for name in names]
    by_item = dict(zip(means["item_id"].to_pylist(), np.column_stack(columns), strict=True))
    unrated = np.full(len(DIMENSIONS), np.nan)
    found = np.array([by_item.get(item, unrated) for item in predictions.item_ids], dtype=np.float64)
    if np.isnan(found).all():
        raise DataError(f"none of the predicted replies is rated by {rater!r} in part {part!r} of {ratings}")
    return found


def systems_of(predictions: Predictions, ratings: Path) -> list[set[str]]:
    """Return which systems gave each of the n predicted replies."""
    table = read_ratings(ratings)
    known: dict[str, set[str]] = {}
    for item, system in zip(table["item_id"].to_pylist(), table["system"].to_pylist(), strict=True):
        known.setdefault(item, set()).add(system)
    return [known.get(item, set()) for item in predictions.item_ids]


def write_calibrated(predictions: Predictions, calibration: Calibration, out: Path) -> None:
    """Write a scores file of calibrated scores."""
    scores, _, _ = apply_calibration(calibration, predictions.distributions)
    columns = {str(name): scores[:, index] for index, name in enumerate(DIMENSIONS)}
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"item_id": list(predictions.item_ids), **columns}), out)
