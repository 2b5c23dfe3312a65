"""The cluster bootstrap: questions are drawn with replacement, each with all its answers; intervals are percentiles.

Answers to one question are not independent, so resampling answers would give intervals that are too narrow.
Per-system means are recomputed in each draw. Efron & Tibshirani 1993, chapters 13 and 8 (clustered data).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.agreement.absolute import Floats

_LABELS = NDArray[np.int64]
_MIN_QUESTIONS: Final = 2
"""Every resample of one question is that question: an interval of no width, which is no measurement."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval; None where it is undefined (no variance, too few items or questions)."""

    value: float | None
    low: float | None
    high: float | None


def question_draws(n_questions: int, n_boot: int, seed: int) -> Floats:
    """Return how often each question is drawn in each resample [n_boot, n_questions]; each row sums to n_questions."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n_questions, np.full(n_questions, 1 / n_questions), size=n_boot).astype(np.float64)


def estimate(value: float, resampled: Floats, confidence: float, *, n_questions: int) -> Estimate:
    """Return the value with the percentile interval of its resampled values [n_boot], undefined ones left out.

    `n_questions` is how many questions have answers that the value is made of; below two there is no interval.
    """
    defined = resampled[~np.isnan(resampled)]
    if np.isnan(value) or defined.size == 0 or n_questions < _MIN_QUESTIONS:
        return Estimate(None if np.isnan(value) else float(value), None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))


@dataclass(frozen=True)
class SystemMeans:
    """Per-system means of two raters: [..., systems] each, and which systems have any answer in that resample."""

    reference: Floats
    judged: Floats
    present: Floats


def system_means(
    reference: Floats, judged: Floats, *, question: _LABELS, system: _LABELS, draws: Floats, n_systems: int
) -> SystemMeans:
    """Return the systems' means in each resample.

    `reference`, `judged`, `question` and `system` are [n] (the last two are codes); `draws` is [..., questions].
    """
    cells = np.zeros((3, draws.shape[-1], n_systems))
    for index, values in enumerate((np.ones(len(reference)), reference, judged)):
        np.add.at(cells[index], (question, system), values)
    count, total_reference, total_judged = (draws @ cell for cell in cells)
    present = (count > 0).astype(np.float64)
    divisor = np.maximum(count, 1.0)
    return SystemMeans(total_reference / divisor, total_judged / divisor, present)
