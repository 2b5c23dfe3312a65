"""Which rows a run sees, how often, and the off-topic examples that it makes."""

import random
from collections import Counter
from pathlib import Path

import pytest

from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS
from tests.unit.trainer.training.runs import rating, write_files
from trainer.data.schema import Rating
from trainer.errors import DataError
from trainer.training.examples import OFF_TOPIC_LEVELS, Row, read_rows, scheduled_rows, to_example
from trainer.training.model import load_renderer


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


def _asked(question: str, reply: int, score: float | None) -> Rating:
    told = {**dict.fromkeys(map(str, DIMENSIONS), score), "context": (Turn(role="user", content=question),)}
    return rating(0, reply, 5.0, question_id=question, **told)


def test_the_same_question_with_other_punctuation_is_no_other_question(tmp_path: Path) -> None:
    asked = [_asked("My mum died.", 1, 5.0), _asked("My mum died", 2, 5.0)]
    source = write_files(tmp_path, asked).source(off_topic=5)
    with pytest.raises(DataError, match="off_topic"):
        scheduled_rows(read_rows(source), source, _rng())
    with_another = write_files(tmp_path, [*asked, _asked("I cannot sleep.", 3, 2.0)]).source(off_topic=20)
    rows = scheduled_rows(read_rows(with_another), with_another, _rng())
    made = [row for row in rows if row.item_id.startswith("off-topic:")]
    assert {row.turns[0].content for row in made} == {"I cannot sleep."}


def test_a_reply_without_any_score_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    source = write_files(tmp_path, [_asked("A", 1, None), _asked("B", 2, 5.0)]).source(off_topic=5)
    rows = scheduled_rows(read_rows(source), source, _rng())
    assert {row.item_id for row in rows if row.item_id.startswith("off-topic:")} == {"off-topic:item-0-2"}


def test_a_reply_longer_than_the_window_is_named_with_its_limit(tmp_path: Path) -> None:
    files = write_files(tmp_path, [rating(0, 1, 5.0, response="word " * 2000)])
    (row,) = read_rows(files.source())
    with pytest.raises(DataError, match=r"item-0-1: the reply has \d+ tokens; at most \d+ fit .* raise window_tokens"):
        to_example(row, load_renderer(files.model()))


def test_off_topic_needs_a_second_question(tmp_path: Path) -> None:
    source = write_files(tmp_path, [rating(0, 1, 5.0)]).source(off_topic=1)
    with pytest.raises(DataError, match="off_topic"):
        scheduled_rows(read_rows(source), source, _rng())
