import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.dimensions import DIMENSIONS, Dimension
from services.rubric.verdict import LevelDistribution
from trainer.agreement.absolute import ccc
from trainer.calibration.fit import Floats, apply_calibration, fit_calibration, measured_coverage
from trainer.errors import TrainerError

N = 400
UNKNOWN: list[set[str]] = [set()] * N


def _judge(seed: int, noise: float) -> tuple[Floats, Floats]:
    """Return distributions (N, 7, 5) of a shrunk, biased judge and the ratings (N, 7) that it judged."""
    rng = np.random.default_rng(seed)
    truth = np.clip(rng.normal(3.6, 0.8, (N, len(DIMENSIONS))), 1, 5)
    seen = np.clip(2.9 + 0.4 * (truth + rng.normal(0, noise, truth.shape) - 3.6), 1, 5)
    levels = np.arange(1, 6)
    weights = np.exp(-((levels - seen[..., None]) ** 2))
    return weights / weights.sum(axis=-1, keepdims=True), truth


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0.1, 1.0))
def test_calibrated_scores_have_the_raters_mean_spread_and_more_agreement(seed: int, noise: float) -> None:
    distributions, ratings = _judge(seed, noise)
    scores, _, _ = apply_calibration(fit_calibration(distributions, ratings, UNKNOWN), distributions)
    raw = distributions @ np.arange(1, 6)
    for index in range(len(DIMENSIONS)):
        assert scores[:, index].mean() == pytest.approx(ratings[:, index].mean(), abs=0.08)
        assert scores[:, index].std() == pytest.approx(ratings[:, index].std(), rel=0.12)
        assert ccc(ratings[:, index], scores[:, index]) > ccc(ratings[:, index], raw[:, index])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_expected_levels_is_kept(seed: int) -> None:
    distributions, ratings = _judge(seed, 0.5)
    scores, low, high = apply_calibration(fit_calibration(distributions, ratings, UNKNOWN), distributions)
    order = np.argsort((distributions @ np.arange(1, 6))[:, 0])
    assert (np.diff(scores[order, 0]) >= -1e-9).all()
    assert ((low <= scores) & (scores <= high)).all()


def test_a_crowd_of_equal_replies_does_not_make_the_map_steep() -> None:
    # Nine of ten replies lie within hundredths of a level; rounding in the engine moves such a score by 0.02.
    distributions, ratings = _judge(6, 0.5)
    crowd = distributions[:1] + np.random.default_rng(6).normal(0, 0.002, distributions[40:].shape)
    distributions[40:] = crowd / crowd.sum(axis=-1, keepdims=True)
    calibration = fit_calibration(distributions, ratings, UNKNOWN)
    for one in calibration.dimensions.values():
        moved = np.interp(np.array(one.raw) + 0.02, one.raw, one.calibrated) - np.array(one.calibrated)
        assert moved.max() <= 0.2


def test_intervals_hold_their_share_on_other_ratings_of_the_same_judge() -> None:
    calibration = fit_calibration(*_judge(1, 0.5), UNKNOWN)
    for share in measured_coverage(calibration, *_judge(2, 0.5)).values():
        assert share == pytest.approx(0.8, abs=0.08)  # three standard errors of a share over 400, plus the fit's own


def test_trainer_and_judge_apply_a_calibration_alike() -> None:
    distributions, ratings = _judge(3, 0.5)
    calibration = fit_calibration(distributions, ratings, UNKNOWN)
    scores, low, high = apply_calibration(calibration, distributions[:20])
    for row in range(20):
        for index, name in enumerate(DIMENSIONS):
            p = distributions[row, index]
            one = calibration.dimensions[name].apply(LevelDistribution(tuple(float(v) for v in p)))  # type: ignore[arg-type]
            assert (one.score, *one.interval) == pytest.approx(
                (scores[row, index], low[row, index], high[row, index]), abs=1e-6
            )


def test_too_few_ratings_of_a_dimension_are_refused_by_name() -> None:
    distributions, ratings = _judge(4, 0.5)
    ratings[40:, DIMENSIONS.index(DIMENSIONS[3])] = np.nan
    with pytest.raises(TrainerError, match="safety: 40 ratings"):
        fit_calibration(distributions, ratings, UNKNOWN)


def test_raters_who_agree_wholly_give_a_calibration_with_hardly_any_interval() -> None:
    distributions, ratings = _judge(7, 0.5)
    safety = DIMENSIONS.index(Dimension.SAFETY)
    distributions[:, safety], ratings[:, safety] = 0.2, 4.0

    calibration = fit_calibration(distributions, ratings, UNKNOWN)

    _, low, high = apply_calibration(calibration, distributions)
    assert calibration.dimensions[Dimension.SAFETY].interval_scale > 0
    assert low[:, safety] == pytest.approx(4.0, abs=1e-5)
    assert high[:, safety] == pytest.approx(4.0, abs=1e-5)


def test_constant_judge_is_calibrated_to_the_mean() -> None:
    _, ratings = _judge(5, 0.5)
    distributions = np.full((N, len(DIMENSIONS), 5), 0.2)
    scores, _, _ = apply_calibration(fit_calibration(distributions, ratings, UNKNOWN), distributions)
    assert scores.mean(axis=0) == pytest.approx(ratings.mean(axis=0), abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_where_systems_are_known_their_means_agree_better_and_answers_hardly_less(seed: int) -> None:
    """Ratings of one answer are noisy, means of twenty are not: the full stretch spreads the means too far."""
    rng = np.random.default_rng(seed)
    system = np.arange(N) % 20
    quality = rng.normal(3.4, 0.5, 20)[system]
    seen = np.clip(quality + rng.normal(0, 0.2, N), 1, 5)
    weights = np.exp(-((np.arange(1, 6) - seen[:, None]) ** 2))
    distributions = np.repeat((weights / weights.sum(axis=-1, keepdims=True))[:, None], len(DIMENSIONS), axis=1)
    rated = np.clip(quality + rng.normal(0, 0.7, N), 1, 5)
    ratings = np.repeat(rated[:, None], len(DIMENSIONS), axis=1)

    def agreement(systems: list[set[str]]) -> tuple[float, float]:
        scores, _, _ = apply_calibration(fit_calibration(distributions, ratings, systems), distributions)
        means = [(rated[system == one].mean(), scores[system == one, 0].mean()) for one in range(20)]
        return float(ccc(rated, scores[:, 0])), float(ccc(*np.array(means).T))

    answers, of_systems = agreement([{f"system {one}"} for one in system])
    answers_alone, of_systems_alone = agreement(UNKNOWN)
    assert of_systems > of_systems_alone
    assert answers > answers_alone - 0.05
