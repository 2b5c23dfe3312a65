"""The report: complete, reproducible, honest about what is undefined, and readable again from its JSON."""

import json

import numpy as np
import pytest

from services.contracts.dimensions import DIMENSIONS
from trainer.agreement import absolute
from trainer.agreement.absolute import Floats
from trainer.agreement.report import AgreementReport, agreement_report
from trainer.errors import AgreementError

_QUESTIONS, _SYSTEMS = 12, 6
_N = _QUESTIONS * _SYSTEMS


def _ratings(seed: int = 0) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    truth = generator.normal(3, 0.6, (_QUESTIONS, 1, 7)) + generator.normal(0, 0.6, (1, _SYSTEMS, 7))
    truth = truth.reshape(_N, 7)
    noise = generator.normal(0, 0.3, (2, _N, 7))
    return np.clip(truth + noise[0], 1, 5), np.clip(truth + noise[1], 1, 5)


def _report(reference: Floats, judged: Floats, n_boot: int = 200, seed: int = 1) -> AgreementReport:
    questions = np.repeat([f"q{i}" for i in range(_QUESTIONS)], _SYSTEMS)
    systems = np.tile([f"s{i}" for i in range(_SYSTEMS)], _QUESTIONS)
    return agreement_report(reference, judged, questions, systems, np.arange(_N) + 10, n_boot=n_boot, seed=seed)


def test_every_dimension_is_reported_per_answer_and_per_system() -> None:
    reference, judged = _ratings()

    report = _report(reference, judged)

    assert list(report.per_answer) == list(report.per_system) == [str(name) for name in DIMENSIONS]
    empathy = report.per_answer["empathy"]
    assert empathy.n == _N
    assert empathy.icc_a1.value == pytest.approx(float(absolute.icc_a1(reference[:, 4], judged[:, 4])))
    by_system = (
        reference[:, 4].reshape(_QUESTIONS, _SYSTEMS).mean(0),
        judged[:, 4].reshape(_QUESTIONS, _SYSTEMS).mean(0),
    )
    assert report.per_system["empathy"].n == _SYSTEMS
    assert report.per_system["empathy"].icc_a1.value == pytest.approx(float(absolute.icc_a1(*by_system)))


def test_intervals_hold_the_value_and_answers_to_one_question_count_as_one() -> None:
    reference, judged = _ratings()
    clustered = _report(reference, judged).per_answer["safety"].bias
    names = np.arange(_N).astype(str)
    independent = agreement_report(reference, judged, names, names, np.ones(_N), n_boot=200, seed=1)

    assert clustered.low is not None and clustered.high is not None and clustered.value is not None
    assert clustered.low <= clustered.value <= clustered.high
    repeated = np.repeat(reference[:, :1], 7, axis=1) * 0 + np.repeat(np.arange(_QUESTIONS) % 2, _SYSTEMS)[:, None]
    wide = _report(np.full((_N, 7), 3.0), 3.0 + repeated).per_answer["safety"].bias
    narrow = agreement_report(np.full((_N, 7), 3.0), 3.0 + repeated, names, names, np.ones(_N), n_boot=200, seed=1)
    narrow_bias = narrow.per_answer["safety"].bias
    assert wide.high is not None and wide.low is not None
    assert narrow_bias.high is not None and narrow_bias.low is not None
    assert wide.high - wide.low > 1.5 * (narrow_bias.high - narrow_bias.low)
    assert independent.n_questions == _N


def test_the_same_input_and_seed_give_the_same_json_and_it_reads_back() -> None:
    first, second = _report(*_ratings()), _report(*_ratings())

    assert first.to_json() == second.to_json()
    assert AgreementReport.from_json(first.to_json()).to_json() == first.to_json()


@pytest.mark.parametrize("varying", [pytest.param(0, id="first"), pytest.param(_QUESTIONS - 1, id="last")])
def test_where_one_question_varies_its_place_leaves_intervals_within_their_range(varying: int) -> None:
    reference, judged = np.full((_N, 7), 5.0), np.full((_N, 7), 5.0)
    rows = slice(varying * _SYSTEMS, (varying + 1) * _SYSTEMS)
    reference[rows], judged[rows] = (ratings[:_SYSTEMS] for ratings in _ratings())

    found = _report(reference, judged).per_answer["empathy"]

    # A third of the resamples lack the question: undefined, left out. In the others the raters agree as they do in it.
    for statistic in (found.icc_c1, found.icc_a1, found.ccc):
        assert statistic.low is not None and statistic.high is not None
        assert 0.8 < statistic.low <= statistic.high <= 1


def test_one_question_is_measured_without_an_interval() -> None:
    reference, judged = _ratings()
    lone = np.arange(_N) >= _SYSTEMS
    reference[lone, 4] = np.nan

    found = _report(reference, judged)
    alone = agreement_report(reference, judged, np.full(_N, "q"), np.arange(_N) % _SYSTEMS, np.arange(_N), n_boot=100)

    for agreement in (found.per_answer["empathy"], found.per_system["empathy"], alone.per_answer["safety"]):
        assert agreement.icc_a1.value is not None
        assert (agreement.icc_a1.low, agreement.icc_a1.high) == (None, None)
    assert found.length["empathy"].partial_spearman.low is None
    assert found.per_answer["safety"].icc_a1.low is not None


def test_a_constant_judge_has_undefined_correlations_as_null() -> None:
    reference, _ = _ratings()

    report = json.loads(_report(reference, np.full((_N, 7), 4.0)).to_json())

    assert report["per_answer"]["empathy"]["spearman"]["value"] is None
    assert report["between_dimensions_judged"][0][1] is None
    assert report["per_answer"]["empathy"]["icc_c1"]["value"] == pytest.approx(0, abs=1e-9)


def test_answers_not_rated_on_a_dimension_are_left_out_of_it_alone() -> None:
    reference, judged = _ratings()
    reference[:10, 3] = np.nan
    reference[:, 6] = np.nan

    report = _report(reference, judged)

    assert report.per_answer["safety"].n == _N - 10
    assert report.per_answer["guidance"].n == _N
    assert "understanding" not in report.per_answer


def test_the_difference_to_the_incumbent_is_taken_on_the_same_draws() -> None:
    reference, judged = _ratings()
    questions, systems = np.repeat(np.arange(_QUESTIONS), _SYSTEMS), np.tile(np.arange(_SYSTEMS), _QUESTIONS)
    slightly_worse = np.clip(judged + np.random.default_rng(3).normal(0, 0.1, judged.shape), 1, 5)

    def over(incumbent: Floats) -> AgreementReport:
        words = np.full(_N, 9.0)
        return agreement_report(reference, judged, questions, systems, words, incumbent=incumbent, n_boot=200)

    same, better = over(judged).over_incumbent["empathy"], over(slightly_worse).over_incumbent["empathy"]
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    alone, other = (absolute.icc_a1(reference[:, 4], scores[:, 4]) for scores in (judged, slightly_worse))
    assert better.value == pytest.approx(float(alone - other))
    own = over(judged).per_answer["empathy"].icc_a1
    assert better.low is not None and better.high is not None and own.low is not None and own.high is not None
    assert better.high - better.low < own.high - own.low
    with pytest.raises(AgreementError, match="the incumbent's scores must be"):
        over(judged[:5])


@pytest.mark.parametrize(
    ("reference", "judged"),
    [
        pytest.param(np.ones((_N, 7)), np.ones((_N, 6)), id="dimension-missing"),
        pytest.param(np.ones((_N - 1, 7)), np.ones((_N - 1, 7)), id="labels-too-long"),
        pytest.param(np.full((_N, 7), np.nan), np.ones((_N, 7)), id="nothing-rated"),
    ],
)
def test_ratings_that_cannot_be_compared_are_refused(reference: Floats, judged: Floats) -> None:
    with pytest.raises(AgreementError):
        _report(reference, judged)
