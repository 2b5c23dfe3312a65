"""Spearman, its partial form and length bands: against scipy and pingouin, and the properties they must have."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata, spearmanr

from trainer.agreement import ranks
from trainer.agreement.absolute import Floats

_RATINGS = hnp.arrays(np.float64, st.integers(2, 30), elements=st.integers(1, 5).map(float))


def _raters(seed: int, n: int = 200) -> tuple[Floats, Floats, Floats]:
    generator = np.random.default_rng(seed)
    words = np.round(np.exp(generator.normal(4.5, 0.7, n)))
    quality = generator.normal(0, 1, n) + 0.8 * np.log(words)
    return np.round(quality + generator.normal(0, 1, n)), quality + generator.normal(0, 1, n), words


@given(_RATINGS)
def test_unweighted_midranks_are_scipys(values: Floats) -> None:
    assert ranks.midranks(values, np.ones(len(values))).tolist() == rankdata(values).tolist()


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed-{seed}") for seed in range(3)])
def test_spearman_equals_scipy(seed: int) -> None:
    one, other, _ = _raters(seed)

    assert ranks.spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)


@given(st.integers(0, 1000))
def test_weights_count_how_often_an_item_is_there(seed: int) -> None:
    one, other, _ = _raters(seed, 25)
    counts = np.random.default_rng(seed).integers(0, 3, 25)
    expected = spearmanr(np.repeat(one, counts), np.repeat(other, counts)).statistic

    assert ranks.spearman(one, other, counts[None, :].astype(float))[0] == pytest.approx(expected)


def test_partial_spearman_equals_pingouin_given_words_or_log_words() -> None:
    one, other, words = _raters(5)
    frame = pd.DataFrame({"x": one, "y": other, "z": np.log(words)})
    expected = pingouin.partial_corr(frame, "x", "y", "z", method="spearman")["r"].iloc[0]

    assert ranks.partial_spearman(one, other, words) == pytest.approx(expected, abs=1e-9)
    assert ranks.partial_spearman(one, other, np.log(words)) == pytest.approx(expected, abs=1e-9)


def test_a_judge_that_only_counts_words_has_nothing_left_within_length() -> None:
    one, _, words = _raters(7)

    assert np.isnan(ranks.partial_spearman(one, words, words))


def test_bands_cover_all_items_without_overlap() -> None:
    one, other, words = _raters(11)

    bands = ranks.within_bands(one, other, words)

    assert sum(band.n for band in bands) == len(words)
    assert all(before.words_to < after.words_from for before, after in pairwise(bands))


def test_replies_of_one_length_are_one_band() -> None:
    one, other, _ = _raters(13)

    (band,) = ranks.within_bands(one, other, np.full(len(one), 40.0))

    assert (band.words_from, band.words_to, band.n) == (40, 40, len(one))
    assert band.spearman == pytest.approx(spearmanr(one, other).statistic)


def test_a_halo_score_correlates_wholly_with_itself() -> None:
    halo = np.repeat(np.arange(10.0)[:, None], 3, axis=1)
    halo[:, 2] = 4.0

    matrix = ranks.between_dimensions(halo)

    assert matrix[:2, :2].tolist() == pytest.approx(np.ones((2, 2)))
    assert np.isnan(matrix[2]).all()
