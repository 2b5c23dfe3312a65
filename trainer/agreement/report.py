"""The agreement report: every statistic on every dimension, per answer and per system mean, with intervals.

`agreement_report` is what training, calibration and packaging call; `trainer.agreement.commands` calls it for the
terminal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import TypeAdapter

from services.contracts.dimensions import DIMENSIONS
from trainer.agreement import absolute, ranks
from trainer.agreement.absolute import Floats
from trainer.agreement.bootstrap import Estimate, SystemMeans, estimate, question_draws, system_means
from trainer.errors import AgreementError

N_BOOT: Final = 2000
SEED: Final = 30887
CONFIDENCE: Final = 0.95
_MIN_ITEMS: Final = 3
_DRAWS_AT_ONCE: Final = 250  # bounds memory: 250 draws of 10,000 answers are 20 MB an array


@dataclass(frozen=True)
class Agreement:
    """One dimension, one level of aggregation: judged against reference over n items."""

    n: int
    icc_c1: Estimate
    icc_a1: Estimate
    spearman: Estimate
    mae: Estimate
    bias: Estimate
    ccc: Estimate
    weighted_kappa: Estimate | None  # per answer alone: means are no levels


@dataclass(frozen=True)
class LengthControl:
    """How much of one dimension is length: correlations with the words' number, and agreement with it held constant."""

    judged_with_words: Estimate
    reference_with_words: Estimate
    partial_spearman: Estimate
    bands: tuple[ranks.Band, ...]


@dataclass(frozen=True)
class AgreementReport:
    """Judged against reference, by dimension."""

    n_answers: int
    n_questions: int
    n_systems: int
    n_boot: int
    seed: int
    confidence: float
    per_answer: Mapping[str, Agreement]
    per_system: Mapping[str, Agreement]  # empty where there are fewer than three systems
    length: Mapping[str, LengthControl]  # empty where the replies' texts are not released
    between_dimensions_judged: tuple[tuple[float | None, ...], ...]
    between_dimensions_reference: tuple[tuple[float | None, ...], ...]
    over_incumbent: Mapping[str, Estimate] = field(default_factory=dict)
    """ICC(A,1) per answer minus the incumbent's on the same answers; empty where none was given."""
    incumbent: str | None = None
    """The name of that incumbent."""

    def to_json(self) -> str:
        """Return the report as indented JSON; undefined values are null."""
        return _REPORT.dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "AgreementReport":
        """Return the report that `to_json` wrote."""
        return _REPORT.validate_json(text)


_REPORT = TypeAdapter(AgreementReport)


@dataclass(frozen=True)
class _Column:
    """One dimension's ratings [n], with the codes of their questions and systems, and the words of the replies."""

    reference: Floats
    judged: Floats
    question: NDArray[np.int64]
    system: NDArray[np.int64]
    words: Floats

    @property
    def n_questions(self) -> int:
        """How many questions have an answer that is rated on this dimension."""
        return len(np.unique(self.question))


def agreement_report(
    reference: ArrayLike,
    judged: ArrayLike,
    questions: ArrayLike,
    systems: ArrayLike,
    words: ArrayLike,
    *,
    incumbent: ArrayLike | None = None,
    n_boot: int = N_BOOT,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> AgreementReport:
    """Return how far `judged` [n, 7] agrees with `reference` [n, 7], dimensions in the rubric's order.

    `questions`, `systems` and `words` (NaN without text) are [n]. NaN marks a dimension that an answer was not rated
    on; such answers are left out of that dimension. Intervals are percentiles over `n_boot` resamples of whole
    questions; a dimension rated on one question alone has none. `incumbent` [n, 7] are another judge's scores: the
    difference is taken within each resample, so that what both find hard cancels out. Raises AgreementError where
    shapes differ or fewer than three answers remain.
    """
    x, y = np.asarray(reference, dtype=np.float64), np.asarray(judged, dtype=np.float64)
    old = np.full_like(x, np.nan) if incumbent is None else np.asarray(incumbent, dtype=np.float64)
    _check(x, y, old, [np.shape(labels) for labels in (questions, systems, words)])
    question_names, question = np.unique(np.asarray(questions), return_inverse=True)
    system_names, system = np.unique(np.asarray(systems), return_inverse=True)
    length = np.asarray(words, dtype=np.float64)
    draws = question_draws(len(question_names), n_boot, seed)
    columns: dict[str, _Column] = {}
    over_incumbent: dict[str, Estimate] = {}
    for index, dimension in enumerate(DIMENSIONS):
        rated = ~np.isnan(x[:, index]) & ~np.isnan(y[:, index])
        if rated.sum() >= _MIN_ITEMS:
            columns[dimension.value] = _Column(
                x[rated, index], y[rated, index], question[rated], system[rated], length[rated]
            )
            if incumbent is not None:
                over_incumbent[dimension.value] = _difference(
                    columns[dimension.value], old[rated, index], draws, confidence
                )
    if not columns:
        raise AgreementError(f"fewer than {_MIN_ITEMS} answers are rated by both on any dimension")
    return AgreementReport(
        n_answers=len(x),
        n_questions=len(question_names),
        n_systems=len(system_names),
        n_boot=n_boot,
        seed=seed,
        confidence=confidence,
        per_answer={name: _per_answer(column, draws, confidence) for name, column in columns.items()},
        per_system={
            name: _per_system(column, draws, len(system_names), confidence)
            for name, column in columns.items()
            if len(np.unique(column.system)) >= _MIN_ITEMS
        },
        length={
            name: _length_control(column, draws, confidence)
            for name, column in columns.items()
            if not np.isnan(column.words).any()
        },
        between_dimensions_judged=_nullable(ranks.between_dimensions(y)),
        between_dimensions_reference=_nullable(ranks.between_dimensions(x)),
        over_incumbent=over_incumbent,
    )


def _check(x: Floats, y: Floats, old: Floats, labels: list[tuple[int, ...]]) -> None:
    if x.ndim != 2 or x.shape[1] != len(DIMENSIONS) or y.shape != x.shape:
        raise AgreementError(f"ratings must both be [n, {len(DIMENSIONS)}]; got {x.shape} and {y.shape}")
    if old.shape != x.shape:
        raise AgreementError(f"the incumbent's scores must be {x.shape}, as the candidate's; got {old.shape}")
    if any(shape != x.shape[:1] for shape in labels):
        raise AgreementError(f"questions, systems and words must be [{len(x)}], as the ratings")


def _per_answer(column: _Column, draws: Floats, confidence: float) -> Agreement:
    x, y = column.reference, column.judged

    def over_draws(statistic: Callable[[Floats], Floats]) -> Estimate:
        return _estimate(statistic, column, draws, confidence)

    return Agreement(
        n=len(x),
        icc_c1=over_draws(lambda w: absolute.icc_c1(x, y, w)),
        icc_a1=over_draws(lambda w: absolute.icc_a1(x, y, w)),
        spearman=over_draws(lambda w: ranks.spearman(x, y, w)),
        mae=over_draws(lambda w: absolute.mae(x, y, w)),
        bias=over_draws(lambda w: absolute.bias(x, y, w)),
        ccc=over_draws(lambda w: absolute.ccc(x, y, w)),
        weighted_kappa=over_draws(lambda w: absolute.weighted_kappa(x, y, w)),
    )


def _estimate(statistic: Callable[[Floats], Floats], column: _Column, draws: Floats, confidence: float) -> Estimate:
    """Return a statistic of item weights [..., n] on the answers as they are, with its interval over the draws."""
    chunks = np.array_split(draws, max(1, len(draws) // _DRAWS_AT_ONCE))
    resampled = np.concatenate([statistic(chunk[:, column.question]) for chunk in chunks])
    value = float(statistic(np.ones(len(column.reference))))
    return estimate(value, resampled, confidence, n_questions=column.n_questions)


def _difference(column: _Column, incumbent: Floats, draws: Floats, confidence: float) -> Estimate:
    x, y = column.reference, column.judged

    def over(weights: Floats) -> Floats:
        return absolute.icc_a1(x, y, weights) - absolute.icc_a1(x, incumbent, weights)

    return _estimate(over, column, draws, confidence)


def _per_system(column: _Column, draws: Floats, n_systems: int, confidence: float) -> Agreement:
    def means(of: Floats) -> SystemMeans:
        return system_means(
            column.reference,
            column.judged,
            question=column.question,
            system=column.system,
            draws=of,
            n_systems=n_systems,
        )

    observed, resampled = means(np.ones(draws.shape[1])), means(draws)

    def over_draws(statistic: Callable[[Floats, Floats, Floats], Floats]) -> Estimate:
        value = float(statistic(observed.reference, observed.judged, observed.present))
        over = statistic(resampled.reference, resampled.judged, resampled.present)
        return estimate(value, over, confidence, n_questions=column.n_questions)

    return Agreement(
        n=int(observed.present.sum()),
        icc_c1=over_draws(absolute.icc_c1),
        icc_a1=over_draws(absolute.icc_a1),
        spearman=over_draws(_spearman_rows),
        mae=over_draws(absolute.mae),
        bias=over_draws(absolute.bias),
        ccc=over_draws(absolute.ccc),
        weighted_kappa=None,
    )


def _spearman_rows(reference: Floats, judged: Floats, present: Floats) -> Floats:
    """Return Spearman's correlation of each row [..., systems]: here the values differ from draw to draw."""
    if reference.ndim == 1:
        return ranks.spearman(reference, judged, present)
    rows = zip(reference, judged, present, strict=True)
    return np.array([ranks.spearman(x, y, weight) for x, y, weight in rows])


def _length_control(column: _Column, draws: Floats, confidence: float) -> LengthControl:
    x, y, words = column.reference, column.judged, column.words
    return LengthControl(
        judged_with_words=_estimate(lambda w: ranks.spearman(y, words, w), column, draws, confidence),
        reference_with_words=_estimate(lambda w: ranks.spearman(x, words, w), column, draws, confidence),
        partial_spearman=_estimate(lambda w: ranks.partial_spearman(x, y, words, w), column, draws, confidence),
        bands=ranks.within_bands(x, y, words),
    )


def _nullable(matrix: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if np.isnan(cell) else float(cell) for cell in row) for row in matrix)
