"""Agreement between two raters in level and in order: ICC, Lin's CCC, weighted kappa, mean error.

All are functions of four numbers: how many items, the mean difference, and the variances of the sum and of the
difference of the two ratings. So each takes arrays with the items on the last axis, `reference` and `judged` [...,
n], and optional `weights` [..., n] (how often an item was drawn), broadcast together, and returns [...]. Undefined
(no variance): NaN.

Sources: McGraw & Wong 1996, Psychological Methods 1(1), table 4 (ICC(C,1), ICC(A,1)); Shrout & Fleiss 1979,
Psychological Bulletin 86(2) (the same as ICC(3,1) and ICC(2,1)); Lin 1989, Biometrics 45(1) (CCC); Cohen 1968,
Psychological Bulletin 70(4) (weighted kappa).
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class _Moments:
    """Per comparison: items, mean of judged - reference, sums of squares of sum and difference about their means."""

    n: Floats
    bias: Floats
    ss_sum: Floats
    ss_difference: Floats


def _moments(reference: Floats, judged: Floats, weights: Floats | None) -> _Moments:
    given = np.ones(1) if weights is None else weights
    shape = np.broadcast_shapes(reference.shape, judged.shape, given.shape)
    weight = np.broadcast_to(given, shape)
    n = weight.sum(axis=-1)
    bias, ss_difference = _mean_and_ss(judged - reference, weight, n)
    _, ss_sum = _mean_and_ss(judged + reference, weight, n)
    return _Moments(n, bias, ss_sum, ss_difference)


def _mean_and_ss(values: Floats, weight: Floats, n: Floats) -> tuple[Floats, Floats]:
    # Measured from the first item that was drawn, so that equal values have a sum of squares of exactly zero. An item
    # with weight zero will not do: the distance to it leaves rounding, and a ratio of roundings is any number.
    values = np.broadcast_to(values, weight.shape)
    first = np.take_along_axis(values, np.argmax(weight > 0, axis=-1)[..., None], axis=-1)
    centred = values - first
    mean = _ratio(np.einsum("...n,...n->...", weight, centred), n)
    square = np.einsum("...n,...n->...", weight, centred * centred)
    return mean + first[..., 0], np.maximum(square - n * mean * mean, 0.0)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    undefined = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    ratio: Floats = np.divide(numerator, denominator, out=undefined, where=denominator > 0)
    return ratio


def icc_c1(reference: Floats, judged: Floats, weights: Floats | None = None) -> Floats:
    """Return ICC(C,1), consistency of single ratings: (MSR - MSE) / (MSR + MSE) for two raters.

    McGraw & Wong 1996, two-way model; the ICC(3,1) of Shrout & Fleiss 1979. A constant offset of a rater changes
    nothing.
    """
    m = _moments(reference, judged, weights)
    return _ratio(m.ss_sum - m.ss_difference, m.ss_sum + m.ss_difference)


def icc_a1(reference: Floats, judged: Floats, weights: Floats | None = None) -> Floats:
    """Return ICC(A,1), absolute agreement of single ratings: (MSR - MSE) / (MSR + MSE + 2/n (MSC - MSE)), two raters.

    McGraw & Wong 1996, two-way random model; the ICC(2,1) of Shrout & Fleiss 1979. An offset of a rater lowers it.
    """
    m = _moments(reference, judged, weights)
    degrees = np.where(m.n > 1, m.n - 1, np.nan)
    msr, mse = m.ss_sum / degrees / 2, m.ss_difference / degrees / 2
    msc = m.n * m.bias**2 / 2
    return _ratio(msr - mse, msr + mse + 2 / np.where(m.n > 0, m.n, np.nan) * (msc - mse))


def ccc(reference: Floats, judged: Floats, weights: Floats | None = None) -> Floats:
    """Return Lin's concordance correlation (Lin 1989): 2 cov / (var + var + bias^2), with variances over n."""
    m = _moments(reference, judged, weights)
    return _ratio((m.ss_sum - m.ss_difference) / 2, (m.ss_sum + m.ss_difference) / 2 + m.n * m.bias**2)


def weighted_kappa(reference: Floats, judged: Floats, weights: Floats | None = None) -> Floats:
    """Return Cohen's kappa with quadratic weights (Cohen 1968) of the ratings rounded to whole levels, halves up.

    With quadratic weights and the raters' own marginals, kappa is the CCC of the levels (Krippendorff 1970).
    """
    return ccc(levels(reference), levels(judged), weights)


def levels(scores: Floats) -> Floats:
    """Return scores [...] as whole levels, halves rounded up."""
    return np.floor(scores + 0.5)


def bias(reference: Floats, judged: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean of judged - reference: above zero, the judge is the kinder one."""
    return _moments(reference, judged, weights).bias


def mae(reference: Floats, judged: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean absolute difference."""
    return bias(np.zeros(1), np.abs(judged - reference), weights)
