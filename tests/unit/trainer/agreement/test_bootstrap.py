"""The cluster bootstrap resamples questions, is reproducible, and gives percentile intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.agreement.bootstrap import Estimate, estimate, question_draws, system_means


@given(st.integers(1, 40), st.integers(0, 99))
def test_each_draw_takes_as_many_questions_as_there_are(n_questions: int, seed: int) -> None:
    draws = question_draws(n_questions, 20, seed)

    assert draws.shape == (20, n_questions)
    assert (draws.sum(axis=1) == n_questions).all()


def test_the_same_seed_draws_the_same() -> None:
    assert (question_draws(10, 5, 1) == question_draws(10, 5, 1)).all()
    assert (question_draws(10, 5, 1) != question_draws(10, 5, 2)).any()


def test_system_means_are_recomputed_in_each_draw() -> None:
    reference, judged = np.array([1.0, 5.0, 3.0]), np.array([2.0, 4.0, 3.0])
    question, system = np.array([0, 1, 1]), np.array([0, 0, 1])
    draws = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])

    means = system_means(reference, judged, question=question, system=system, draws=draws, n_systems=2)

    assert means.reference[:, 0].tolist() == [3.0, 1.0, 5.0]
    assert means.judged[:, 0].tolist() == [3.0, 2.0, 4.0]
    assert means.present.tolist() == [[1, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("value", "resampled", "expected"),
    [
        pytest.param(2.0, np.arange(41.0), Estimate(2.0, 10.0, 30.0), id="percentiles"),
        pytest.param(2.0, np.array([np.nan, 1.0]), Estimate(2.0, 1.0, 1.0), id="undefined-resamples-left-out"),
        pytest.param(np.nan, np.array([1.0]), Estimate(None, None, None), id="undefined-value"),
        pytest.param(2.0, np.array([np.nan]), Estimate(2.0, None, None), id="no-interval"),
    ],
)
def test_estimate_gives_percentile_intervals(value: float, resampled: np.ndarray, expected: Estimate) -> None:
    assert estimate(value, resampled, 0.5, n_questions=2) == expected


def test_one_question_has_a_value_and_no_interval() -> None:
    assert estimate(2.0, np.full(41, 2.0), 0.5, n_questions=1) == Estimate(2.0, None, None)
