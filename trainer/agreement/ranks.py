"""Agreement in order: Spearman's correlation, and what is left of it when the length of the reply is taken out.

Arrays have the items on the last axis, [n]; `weights` [..., n] say how often each item was drawn, and results are
[...]. Undefined (a constant rating): NaN.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from trainer.agreement.absolute import Floats


def midranks(values: Floats, weights: Floats) -> Floats:
    """Return the ranks [..., n] of values [n] when item i occurs weights[..., i] times; ties share their mean rank."""
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    per_level = np.add.reduceat(weights[..., order], starts, axis=-1)
    upto = np.cumsum(per_level, axis=-1)
    return np.asarray((upto - (per_level - 1) / 2)[..., level])


def spearman(one: Floats, other: Floats, weights: Floats | None = None) -> Floats:
    """Return Spearman's rank correlation [...] of two ratings [n]: Pearson's of the mid-ranks."""
    weight = np.ones(one.shape[-1]) if weights is None else weights
    return _pearson(midranks(one, weight), midranks(other, weight), weight)


def partial_spearman(one: Floats, other: Floats, given: Floats, weights: Floats | None = None) -> Floats:
    """Return the Spearman correlation of `one` and `other` with `given` held constant (partial, first order).

    (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)); Kendall 1942, Biometrika 32. Given words or log words: the
    same ranks.
    """
    weight = np.ones(one.shape[-1]) if weights is None else weights
    x, y, z = (midranks(values, weight) for values in (one, other, given))
    r_xy, r_xz, r_yz = _pearson(x, y, weight), _pearson(x, z, weight), _pearson(y, z, weight)
    return _over(r_xy - r_xz * r_yz, np.sqrt(np.maximum((1 - r_xz**2) * (1 - r_yz**2), 0.0)))


@dataclass(frozen=True)
class Band:
    """The items whose length lies in one band, both ends included."""

    words_from: int
    words_to: int
    n: int
    spearman: float | None  # None: undefined


def within_bands(one: Floats, other: Floats, words: Floats, bands: int = 4) -> tuple[Band, ...]:
    """Return Spearman's correlation within bands of length of about equal size (quantiles of `words` [n])."""
    edges = np.unique(np.quantile(words, np.linspace(0, 1, bands + 1)))
    band = np.clip(np.searchsorted(edges, words, side="right") - 1, 0, max(len(edges) - 2, 0))
    members = (np.flatnonzero(band == index) for index in range(bands))
    return tuple(_band(one[inside], other[inside], words[inside]) for inside in members if inside.size)


def _band(one: Floats, other: Floats, words: Floats) -> Band:
    correlation = float(spearman(one, other))
    return Band(int(words.min()), int(words.max()), words.size, None if np.isnan(correlation) else correlation)


def between_dimensions(scores: Floats) -> Floats:
    """Return Spearman's correlations [d, d] between the columns of scores [n, d]; one halo score would give ones."""
    complete = scores[~np.isnan(scores).any(axis=1)]
    columns = complete.shape[1]
    result = np.full((columns, columns), np.nan)
    varied = np.flatnonzero(np.ptp(complete, axis=0) > 0) if len(complete) > 1 else np.array([], dtype=np.int64)
    for i in varied:
        for j in varied:
            result[i, j] = spearmanr(complete[:, i], complete[:, j]).statistic
    return result


def _pearson(x: Floats, y: Floats, weight: Floats) -> Floats:
    n = weight.sum(axis=-1, keepdims=True)
    total = np.where(n > 0, n, np.nan)
    x = x - (weight * x).sum(axis=-1, keepdims=True) / total
    y = y - (weight * y).sum(axis=-1, keepdims=True) / total
    covariance = (weight * x * y).sum(axis=-1)
    return _over(covariance, np.sqrt((weight * x * x).sum(axis=-1) * (weight * y * y).sum(axis=-1)))


def _over(numerator: Floats, denominator: Floats) -> Floats:
    undefined = np.full(np.shape(numerator), np.nan)
    # Ranks are multiples of a half: a sum of squares this small is rounding of zero.
    ratio: Floats = np.divide(numerator, denominator, out=undefined, where=denominator > 1e-9)
    return np.clip(ratio, -1, 1)
