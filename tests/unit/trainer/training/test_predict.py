"""Scores files: one row a reply, distributions whose expectation is the score, an adapter that changes them."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from services.contracts.dimensions import DIMENSIONS, LEVELS
from tests.unit.trainer.training.runs import Files, rating, write_files
from trainer.agreement.pairing import read_scores
from trainer.errors import DataError
from trainer.training.predict import predict
from trainer.training.sft import train_sft

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("inputs"))


def test_a_reply_longer_than_the_window_is_named(files: Files, tmp_path: Path) -> None:
    long = write_files(tmp_path / "long", [rating(0, 0, 3.0), rating(0, 1, 3.0, response="word " * 2000)])
    with pytest.raises(DataError, match=r"item-0-1: the reply has .* window_tokens"):
        predict(files.model(), None, long.ratings, tmp_path / "out.parquet", split=None, tokens=4096)


def _predict(files: Files, out: Path, adapter: Path | None = None, tokens: int = 4096) -> Path:
    assert predict(files.model(), adapter, files.ratings, out, split=(files.split, "train"), tokens=tokens) == 12
    return out


def test_each_reply_is_scored_once_by_its_expectation(files: Files, tmp_path: Path) -> None:
    out = _predict(files, tmp_path / "scores.parquet")
    assert read_scores(out).num_rows == 12
    assert [path.name for path in tmp_path.glob("*.partial")] == []
    for row in pq.read_table(out).to_pylist():
        for dimension in map(str, DIMENSIONS):
            probabilities = row[f"{dimension}_distribution"]
            assert sum(probabilities) == pytest.approx(1)
            expected = sum(level * p for level, p in zip(LEVELS, probabilities, strict=True))
            assert row[dimension] == pytest.approx(expected)


def test_scores_do_not_depend_on_how_replies_are_packed(files: Files, tmp_path: Path) -> None:
    one, other = _predict(files, tmp_path / "a.parquet"), _predict(files, tmp_path / "b.parquet", tokens=300)
    wanted = {row["item_id"]: row for row in read_scores(other).to_pylist()}
    for row in read_scores(one).to_pylist():
        for dimension in map(str, DIMENSIONS):
            assert row[dimension] == pytest.approx(wanted[row["item_id"]][dimension], abs=1e-4)


def test_a_trained_adapter_puts_good_replies_above_bad_ones(files: Files, tmp_path: Path) -> None:
    adapter = train_sft(files.sft(sources=(files.source(passes=12),)), tmp_path / "run")
    scores = {
        row["item_id"]: row["empathy"] for row in read_scores(_predict(files, tmp_path / "s", adapter)).to_pylist()
    }
    good, bad = ([scores[f"item-{q}-{r}"] for q in range(3) for r in replies] for replies in ((1, 3), (0, 2)))
    assert min(good) > max(bad)


def test_ratings_without_text_are_refused(files: Files, tmp_path: Path) -> None:
    bare = write_files(tmp_path / "bare", [rating(0, 0, 3.0, response=None)])
    with pytest.raises(DataError, match="nothing to score"):
        predict(files.model(), None, bare.ratings, tmp_path / "out.parquet", split=None, tokens=4096)
