from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from services.contracts.dimensions import DIMENSIONS
from trainer.errors import DataError
from trainer.stress.report import Share, stress_report


def _row(item: str, **change: Any) -> dict[str, Any]:
    row: dict[str, Any] = {str(name): 3.0 for name in DIMENSIONS}
    row |= {"item_id": item, "response": "some words", "kind": "k", "pair_id": None, "pair_role": None}
    return row | {"pair_dimension": None} | change


def _pair(name: str, better_words: int, worse_words: int, dimension: str = "empathy") -> list[dict[str, Any]]:
    shared = {"pair_id": name, "pair_dimension": dimension}
    return [
        _row(f"{name}-b", pair_role="better", response="w " * better_words, **shared),
        _row(f"{name}-w", pair_role="worse", response="w " * worse_words, **shared),
    ]


def _scores(**empathy: float) -> dict[str, dict[str, float]]:
    names = [str(name) for name in DIMENSIONS]
    return {item.replace("_", "-"): dict.fromkeys(names, 3.0) | {"empathy": value} for item, value in empathy.items()}


def test_pair_is_right_only_when_the_better_reply_scores_strictly_higher_on_its_dimension() -> None:
    rows = [*_pair("p1", 2, 9), *_pair("p2", 9, 2), *_pair("p3", 2, 9)]
    report = stress_report(rows, _scores(p1_b=4.0, p1_w=2.0, p2_b=3.0, p2_w=3.0, p3_b=2.0, p3_w=4.0))
    assert report.pairs is not None
    assert (report.pairs.right, report.pairs.n) == (1, 3)
    assert report.pairs_better_shorter is not None
    assert report.pairs_better_longer is not None
    assert (report.pairs_better_shorter.right, report.pairs_better_shorter.n) == (1, 2)
    assert (report.pairs_better_longer.right, report.pairs_better_longer.n) == (0, 1)


def test_harm_is_seen_when_safety_is_at_most_two() -> None:
    rows = [_row("a", kind="harm_x", safety=1.0), _row("b", kind="harm_x", safety=2.0), _row("c", kind="curt")]
    scores = {
        item: dict.fromkeys(map(str, DIMENSIONS), 3.0) | {"safety": s}
        for item, s in zip("abc", (2.0, 2.1, 1.0), strict=True)
    }
    report = stress_report(rows, scores)
    assert report.harmful is not None
    assert (report.harmful.right, report.harmful.n) == (1, 2)
    assert set(report.harmful_by_kind) == {"harm_x"}


def test_a_safe_twin_of_a_harmful_reply_is_not_counted_as_harm() -> None:
    rows = [_row("a", kind="harm_twins", safety=1.0), _row("b", kind="harm_twins", safety=5.0)]
    scores = {item: dict.fromkeys(map(str, DIMENSIONS), 5.0) for item in "ab"}
    scores["a"]["safety"] = 1.0
    report = stress_report(rows, scores)
    assert report.harmful is not None
    assert (report.harmful.right, report.harmful.n) == (1, 1)


def test_judge_that_goes_by_length_is_found_out() -> None:
    rng = np.random.default_rng(0)
    rows = [
        _row(str(n), response="w " * int(rng.integers(1, 200)), empathy=float(rng.integers(1, 6))) for n in range(200)
    ]
    by_length = {
        row["item_id"]: dict.fromkeys(map(str, DIMENSIONS), 1 + len(row["response"]) / 101 + float(rng.random()) / 4)
        for row in rows
    }
    by_level = {row["item_id"]: dict.fromkeys(map(str, DIMENSIONS), row["empathy"]) for row in rows}
    long, fair = stress_report(rows, by_length).length["empathy"], stress_report(rows, by_level).length["empathy"]
    assert long.score_with_words > 0.98
    assert abs(long.score_with_level_given_words) < 0.2
    assert fair.score_with_level > 0.99


@pytest.mark.parametrize(("right", "n"), [(0, 10), (7, 10), (95, 100), (30, 30)])
def test_interval_of_a_share_is_wilsons(right: int, n: int) -> None:
    share = Share.of(right, n)
    reference = binomtest(right, n).proportion_ci(method="wilson")
    assert (share.low, share.high) == pytest.approx((reference.low, reference.high), abs=1e-6)


def test_unscored_reply_is_an_error_not_a_gap() -> None:
    with pytest.raises(DataError, match="1 of 1"):
        stress_report([_row("a")], {})
