"""The ratings that a calibration is fitted to: one row for each predicted reply, whoever else gave the same reply."""

from pathlib import Path

import numpy as np
import pytest

from services.contracts.dimensions import DIMENSIONS, LEVELS, Dimension
from tests.unit.trainer.data.builders import rating_record, run_import, write_jsonl
from trainer.calibration.scores import Predictions, reference_ratings, systems_of
from trainer.data.schema import read_ratings
from trainer.data.sources.ratings import ratings
from trainer.data.split_record import Part, Split
from trainer.errors import DataError

_SAFETY, _EMPATHY = DIMENSIONS.index(Dimension.SAFETY), DIMENSIONS.index(Dimension.EMPATHY)


def _imported(folder: Path) -> tuple[Path, Path, Predictions]:
    """Return ratings, their split, and predictions of a reply that two systems gave and of one that is not rated."""
    path = write_jsonl(
        folder / "r.jsonl",
        [
            rating_record(system="one", safety=1, empathy=2),
            rating_record(system="two", safety=5, empathy=None),
            rating_record(system="one", safety=3, rater="clinician-2"),
        ],
    )
    run_import(ratings(path), folder / "r.parquet")
    table = read_ratings(folder / "r.parquet")
    part = Part(groups=tuple(set(table["split_group"].to_pylist())), rows=3, items=1)
    split = Split(name="own", config={}, inputs={}, parts={"calibration": part}, excluded=())
    (folder / "split.json").write_text(split.model_dump_json())
    distributions = np.full((2, len(DIMENSIONS), len(LEVELS)), 0.2)
    predictions = Predictions((table["item_id"][0].as_py(), "another"), distributions)
    return folder / "r.parquet", folder / "split.json", predictions


def test_a_reply_that_two_systems_gave_has_the_mean_of_its_ratings(tmp_path: Path) -> None:
    path, split, predictions = _imported(tmp_path)

    found = reference_ratings(predictions, path, "clinician-1", split, "calibration")

    assert found[0, [_SAFETY, _EMPATHY]].tolist() == [3.0, 2.0]
    assert np.isnan(found[1]).all()


def test_a_reply_that_two_systems_gave_belongs_to_both(tmp_path: Path) -> None:
    path, _, predictions = _imported(tmp_path)

    assert systems_of(predictions, path) == [{"one", "two"}, set()]


def test_a_rater_without_ratings_is_an_error(tmp_path: Path) -> None:
    path, split, predictions = _imported(tmp_path)

    with pytest.raises(DataError, match="clinician-9"):
        reference_ratings(predictions, path, "clinician-9", split, "calibration")
