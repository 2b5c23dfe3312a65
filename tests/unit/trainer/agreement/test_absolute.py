"""ICC, CCC, kappa and errors: against pingouin and scikit-learn, and the properties they must have."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import cohen_kappa_score

from trainer.agreement import absolute
from trainer.agreement.absolute import Floats

# Shrout & Fleiss 1979, table 2: six targets, the judges 1 and 4 of four.
_JUDGE_1 = np.array([9.0, 6, 8, 7, 10, 6])
_JUDGE_4 = np.array([8.0, 2, 8, 6, 9, 7])

_LEVELS = st.integers(1, 5).map(float)
_PAIRS = (
    st.integers(3, 40)
    .flatmap(
        lambda n: st.tuples(hnp.arrays(np.float64, n, elements=_LEVELS), hnp.arrays(np.float64, n, elements=_LEVELS))
    )
    .filter(lambda pair: bool(np.ptp(pair[0]) > 0 and np.ptp(pair[1]) > 0))
)
Statistic = Callable[..., Floats]
_STATISTICS = [
    pytest.param(absolute.icc_c1, id="icc_c1"),
    pytest.param(absolute.icc_a1, id="icc_a1"),
    pytest.param(absolute.ccc, id="ccc"),
    pytest.param(absolute.weighted_kappa, id="kappa"),
]


def _raters(seed: int, n: int) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    truth = generator.normal(3, 0.8, n)
    return truth + generator.normal(0, 0.4, n), truth + generator.normal(0.3, 0.5, n)


def _pingouin_icc(reference: Floats, judged: Floats) -> dict[str, float]:
    n = len(reference)
    long = pd.DataFrame(
        {"item": np.tile(np.arange(n), 2), "rater": np.repeat(["r", "j"], n), "score": np.r_[reference, judged]}
    )
    table = pingouin.intraclass_corr(long, "item", "rater", "score")
    return dict(zip(table["Type"], table["ICC"], strict=True))


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # pingouin's own call of pandas
@pytest.mark.parametrize(
    ("reference", "judged"),
    [
        pytest.param(_JUDGE_1, _JUDGE_4, id="shrout-fleiss-1979"),
        pytest.param(*_raters(1, 9), id="nine-systems"),
        pytest.param(*_raters(2, 300), id="many-answers"),
    ],
)
def test_icc_equals_pingouin(reference: Floats, judged: Floats) -> None:
    expected = _pingouin_icc(reference, judged)

    assert absolute.icc_c1(reference, judged) == pytest.approx(expected["ICC(C,1)"], abs=1e-9)
    assert absolute.icc_a1(reference, judged) == pytest.approx(expected["ICC(A,1)"], abs=1e-9)


def test_ccc_equals_its_definition() -> None:
    x, y = _raters(3, 100)

    expected = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)

    assert absolute.ccc(x, y) == pytest.approx(expected)


@given(_PAIRS)
def test_kappa_equals_scikit_learn(pair: tuple[Floats, Floats]) -> None:
    one, other = (ratings.astype(int) for ratings in pair)
    # Without `labels`, scikit-learn takes the distance between levels from the levels that happen to occur.
    expected = cohen_kappa_score(one, other, labels=[1, 2, 3, 4, 5], weights="quadratic")

    assert absolute.weighted_kappa(*pair) == pytest.approx(expected, abs=1e-9)


def test_errors_are_signed_and_absolute() -> None:
    reference, judged = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0])

    assert absolute.bias(reference, judged) == pytest.approx(-1 / 3)
    assert absolute.mae(reference, judged) == pytest.approx(1.0)


@pytest.mark.parametrize("statistic", _STATISTICS)
@given(pair=_PAIRS)
def test_agreement_is_symmetric_and_at_most_one(statistic: Statistic, pair: tuple[Floats, Floats]) -> None:
    value = statistic(*pair)

    assert value == pytest.approx(statistic(pair[1], pair[0]), abs=1e-9)
    assert value <= 1 + 1e-12


@pytest.mark.parametrize("statistic", _STATISTICS)
@given(pair=_PAIRS)
def test_a_rater_agrees_wholly_with_itself(statistic: Statistic, pair: tuple[Floats, Floats]) -> None:
    assert statistic(pair[0], pair[0]) == pytest.approx(1.0)


@given(pair=_PAIRS, shift=st.floats(-3, 3))
def test_an_offset_leaves_consistency_and_never_raises_absolute_agreement(
    pair: tuple[Floats, Floats], shift: float
) -> None:
    reference, judged = pair
    judged = judged - judged.mean() + reference.mean()

    assert absolute.icc_c1(reference, judged + shift) == pytest.approx(absolute.icc_c1(reference, judged), abs=1e-9)
    closest = abs(float(absolute.ccc(reference, judged)))
    assert abs(float(absolute.ccc(reference, judged + shift))) <= closest + 1e-9


@pytest.mark.parametrize("statistic", _STATISTICS)
@given(pair=_PAIRS, seed=st.integers(0, 1000))
def test_weights_count_how_often_an_item_is_there(statistic: Statistic, pair: tuple[Floats, Floats], seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 4, len(pair[0]))
    repeated = statistic(np.repeat(pair[0], counts), np.repeat(pair[1], counts)) if counts.any() else np.nan

    assert statistic(*pair, counts.astype(float)) == pytest.approx(repeated, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("statistic", _STATISTICS)
@pytest.mark.parametrize("level", [pytest.param(5.0, id="exact"), pytest.param(4.3, id="inexact-in-binary")])
@given(pair=_PAIRS, data=st.data())
def test_agreement_of_two_constants_among_the_drawn_is_undefined_wherever_they_stand(
    statistic: Statistic, level: float, pair: tuple[Floats, Floats], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(pair[0]) + 8)))
    one, other = (np.r_[ratings / 3 + 1.1, np.full(8, level)][order] for ratings in pair)
    drawn = np.r_[np.zeros(len(pair[0])), np.arange(8.0)][order]

    assert np.isnan(statistic(one, other, drawn))


@pytest.mark.parametrize("statistic", _STATISTICS)
def test_agreement_of_two_constants_is_undefined(statistic: Statistic) -> None:
    assert np.isnan(statistic(np.full(5, 3.3), np.full(5, 3.3)))
