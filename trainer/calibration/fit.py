"""Fit a checkpoint's calibration on held-out ratings.

A score fitted by least squares is shrunk towards the mean: with correlation r it has r times the raters' spread, and
agreement in absolute terms (ICC(A,1), Lin's CCC) suffers for it, CCC = 2r^2 / (1 + r^2) instead of r. So the monotone
regression of rating on expected level (Barlow et al. 1972, pool adjacent violators) is stretched about its mean. By
1 / r its spread is the raters' own, which maximises the CCC (Lin 1989) per answer among the affine maps of the
regression. Means of systems hold less of the judge's error, so that this stretch spreads them too far: where systems
are known, the stretch is the one with the highest sum of the CCC per answer and the CCC of the systems' means.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from services.checkpoint.calibration import Calibration, DimensionCalibration
from services.contracts.dimensions import DIMENSIONS, LEVELS, MAX_SCORE, MIN_SCORE
from trainer.agreement.absolute import ccc
from trainer.errors import TrainerError

COVERAGE: Final = 0.8
MIN_RATINGS: Final = 50
BIN_RATINGS: Final = 10
BIN_WIDTH: Final = 0.2
"""Levels. Most replies crowd within a fifth of a level: closer knots make the map so steep that the engine's rounding,
some hundredths of a level, would move a score by a whole one."""
INTERVAL_FLOOR: Final = 0.25
"""Levels added to the judge's own spread, so that a judge that is sure of itself still admits the raters' noise."""
MAX_STRETCH: Final = 2.0
"""A judge that correlates below 1/2 is not stretched further: that would sell noise as spread."""
MIN_INTERVAL_SCALE: Final = 1e-6
"""The scale where the map meets the ratings wholly (raters who never differ): a millionth of the judge's spread, which
says as much, and a calibration must have a scale above zero."""
MIN_SYSTEMS: Final = 5
"""With fewer, the agreement of their means says nothing, and answers alone decide."""
STRETCHES: Final = 21
"""Tried between none and the full one."""
_MIN_STEP: Final = 1e-3

Floats = NDArray[np.float64]


def fit_calibration(
    distributions: Floats, ratings: Floats, systems: Sequence[Collection[str]], *, coverage: float = COVERAGE
) -> Calibration:
    """Return the calibration of a judge.

    Args:
        distributions: (n, 7, 5) probabilities of the levels, dimensions in the rubric's order.
        ratings: (n, 7) reference ratings from 1 to 5, NaN where there is none.
        systems: which systems gave each of the n replies, as far as that is known.
        coverage: share of ratings that the intervals are to hold.

    Raises:
        TrainerError: fewer than 50 ratings of some dimension, or shapes that do not match.
    """
    if distributions.shape != (*ratings.shape, len(LEVELS)) or ratings.shape[1:] != (len(DIMENSIONS),):
        raise TrainerError(f"distributions {distributions.shape} and ratings {ratings.shape} do not match")
    given_by = _membership(systems)
    maps = {}
    for index, dimension in enumerate(DIMENSIONS):
        rated = ~np.isnan(ratings[:, index])
        if rated.sum() < MIN_RATINGS:
            raise TrainerError(f"{dimension}: {rated.sum()} ratings to calibrate on; at least {MIN_RATINGS} are needed")
        maps[dimension] = _fit_dimension(
            distributions[rated, index], ratings[rated, index], given_by[:, rated], coverage
        )
    return Calibration(coverage=coverage, dimensions=maps)


def _membership(systems: Sequence[Collection[str]]) -> Floats:
    """Return (systems, n): 1 where a system gave a reply."""
    names = sorted({name for known in systems for name in known})
    return np.array([[name in known for known in systems] for name in names], dtype=float).reshape(-1, len(systems))


def _fit_dimension(distributions: Floats, ratings: Floats, given_by: Floats, coverage: float) -> DimensionCalibration:
    levels = np.array(LEVELS, dtype=np.float64)
    expected = distributions @ levels
    spread = np.sqrt(np.maximum(distributions @ levels**2 - expected**2, 0.0))
    raw, scores = _knots(expected, ratings, given_by)
    fitted = np.interp(expected, raw, scores)
    ratio = np.abs(ratings - fitted) / (spread + INTERVAL_FLOOR)
    return DimensionCalibration(
        raw=tuple(round(float(x), 6) for x in raw),
        calibrated=tuple(round(float(y), 6) for y in scores),
        interval_scale=max(round(float(np.quantile(ratio, coverage)), 6), MIN_INTERVAL_SCALE),
        interval_floor=INTERVAL_FLOOR,
    )


def _knots(expected: Floats, ratings: Floats, given_by: Floats) -> tuple[Floats, Floats]:
    """Return knots (x strictly increasing, y never decreasing) of the stretched monotone regression.

    Both ends are anchored at the scale's ends, so that replies worse than any held-out one still rank.
    """
    regression = IsotonicRegression(increasing=True).fit(expected, ratings)
    bins = _bins(np.sort(expected))
    x = np.array([held.mean() for held in bins])
    y = np.array([regression.predict(held).mean() for held in bins])
    smooth = np.interp(expected, x, y)
    full = min(MAX_STRETCH, ratings.std() / max(smooth.std(), np.finfo(np.float64).tiny))

    def stretched(stretch: float) -> Floats:
        moved: Floats = np.clip(ratings.mean() + stretch * (y - smooth.mean()), MIN_SCORE, MAX_SCORE)
        return moved

    y = stretched(_best_stretch(full, lambda stretch: np.interp(expected, x, stretched(stretch)), ratings, given_by))
    x, y = np.append(np.insert(x, 0, MIN_SCORE), MAX_SCORE), np.append(np.insert(y, 0, MIN_SCORE), MAX_SCORE)
    kept = np.insert(np.diff(x) > _MIN_STEP, 0, True)
    return x[kept], np.maximum.accumulate(y[kept])


def _best_stretch(full: float, scores: Callable[[float], Floats], ratings: Floats, given_by: Floats) -> float:
    """Return the stretch up to `full` whose scores agree best, answers and means of systems counting alike."""
    shares = given_by[given_by.sum(axis=1) > 0]
    if len(shares) < MIN_SYSTEMS:
        return full
    shares = shares / shares.sum(axis=1, keepdims=True)

    def agreement(stretch: float) -> float:
        judged = scores(stretch)
        return float(np.nan_to_num(ccc(ratings, judged)) + np.nan_to_num(ccc(shares @ ratings, shares @ judged)))

    return max((float(stretch) for stretch in np.linspace(full, 1.0, STRETCHES)), key=agreement)


def _bins(ascending: Floats) -> list[Floats]:
    """Cut expected levels into bins that are wide enough and full enough; what is left over joins the last."""
    ends: list[int] = []
    start = 0
    for end in range(1, len(ascending) + 1):
        if end - start >= BIN_RATINGS and ascending[end - 1] - ascending[start] >= BIN_WIDTH:
            ends.append(end)
            start = end
    return np.split(ascending, ends[:-1])


def measured_coverage(calibration: Calibration, distributions: Floats, ratings: Floats) -> dict[str, float]:
    """Return, per dimension, the share of `ratings` (n, 7) inside the intervals of `distributions` (n, 7, 5)."""
    _, low, high = apply_calibration(calibration, distributions)
    inside = (ratings >= low) & (ratings <= high)
    rated = ~np.isnan(ratings)
    return {name: float(inside[rated[:, i], i].mean()) for i, name in enumerate(DIMENSIONS) if rated[:, i].any()}


def apply_calibration(calibration: Calibration, distributions: Floats) -> tuple[Floats, Floats, Floats]:
    """Return scores, lower and upper interval ends, each (n, 7), as the judge computes them one by one."""
    levels = np.array(LEVELS, dtype=np.float64)
    expected = distributions @ levels
    spread = np.sqrt(np.maximum(distributions @ levels**2 - expected**2, 0.0))
    maps = [calibration.dimensions[name] for name in DIMENSIONS]
    scores = np.column_stack([np.interp(expected[:, i], m.raw, m.calibrated) for i, m in enumerate(maps)])
    half = np.column_stack([m.interval_scale * (spread[:, i] + m.interval_floor) for i, m in enumerate(maps)])
    return scores, np.maximum(scores - half, MIN_SCORE), np.minimum(scores + half, MAX_SCORE)
