"""Which rows a run sees, how often, and the off-topic examples that it makes."""

import random
from collections import Counter
from pathlib import Path

import pytest

from services.contracts.dimensions import DIMENSIONS
from tests.unit.trainer.training.runs import rating, write_files
from trainer.errors import DataError
from trainer.training.examples import OFF_TOPIC_LEVELS, Row, read_rows, scheduled_rows


def _rng() -> random.Random:
    return random.Random(5)  # noqa: S311


def _counts(rows: list[Row]) -> dict[str, int]:
    return dict(Counter(row.item_id for row in rows))


def test_passes_repeat_rows_and_low_ones_as_often_as_asked(tmp_path: Path) -> None:
    source = write_files(tmp_path).source(passes=2, low_passes=3)
    counts = _counts(scheduled_rows(read_rows(source), source, _rng()))
    assert {counts[f"item-{q}-{r}"] for q in range(3) for r in (0, 2)} == {3}
    assert {counts[f"item-{q}-{r}"] for q in range(3) for r in (1, 3)} == {2}


def test_a_fraction_takes_a_seeded_sample(tmp_path: Path) -> None:
    source = write_files(tmp_path).source(passes=0.5)
    rows = read_rows(source)
    first = scheduled_rows(rows, source, _rng())
    assert 0 < len(first) < len(rows)
    assert first == scheduled_rows(rows, source, _rng())


def test_pairs_stay_whole_and_passes_apart(tmp_path: Path) -> None:
    fields = {"pair_id": "pair-1", "pair_dimension": "empathy"}
    pair = [rating(0, 0, 2.0, pair_role="worse", **fields), rating(0, 1, 5.0, pair_role="better", **fields)]
    source = write_files(tmp_path, pair).source(passes=2)
    rows = scheduled_rows(read_rows(source), source, _rng())
    by_pair = Counter(row.pair_id for row in rows)
    assert set(by_pair.values()) == {2}
    assert len(by_pair) == 2
    for pair_id in by_pair:
        assert {row.pair_role for row in rows if row.pair_id == pair_id} == {"better", "worse"}


def test_off_topic_examples_are_good_replies_under_another_question(tmp_path: Path) -> None:
    source = write_files(tmp_path).source(off_topic=20)
    rows = read_rows(source)
    made = [row for row in scheduled_rows(rows, source, _rng()) if row.item_id.startswith("off-topic:")]
    home = {row.item_id: row.turns for row in rows}
    assert len(made) == 20
    for row in made:
        assert row.turns != home[row.item_id.removeprefix("off-topic:")]
        assert row.response.startswith("good")
        assert row.targets == tuple(OFF_TOPIC_LEVELS[dimension] for dimension in DIMENSIONS)


def test_off_topic_needs_a_second_question(tmp_path: Path) -> None:
    source = write_files(tmp_path, [rating(0, 1, 5.0)]).source(off_topic=1)
    with pytest.raises(DataError, match="off_topic"):
        scheduled_rows(read_rows(source), source, _rng())
