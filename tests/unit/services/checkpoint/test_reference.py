"""The reference distribution: bins as Prometheus forms them from buckets, shares that are a distribution."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from judge_service.metrics import JudgeMetrics
from services.checkpoint.reference import UPPER_BOUNDS, ScoreReference
from services.contracts.dimensions import DIMENSIONS, Dimension

SCORES = st.lists(st.floats(1.0, 5.0), min_size=1, max_size=200)


@given(SCORES)
def test_bins_are_those_that_prometheus_makes_of_the_served_scores(scores: list[float]) -> None:
    registry = CollectorRegistry()
    metrics = JudgeMetrics(registry)
    for score in scores:
        metrics.score.labels("safety", "v1").observe(score)

    def below(bound: float) -> float:
        labels = {"dimension": "safety", "checkpoint": "v1", "le": str(bound)}
        value = registry.get_sample_value("theraloop_judge_score_bucket", labels)
        assert value is not None, f"no bucket ends at {bound}"
        return value

    cumulative = [0.0, *map(below, UPPER_BOUNDS), float(len(scores))]
    served = [(high - low) / len(scores) for low, high in pairwise(cumulative)]
    reference = ScoreReference.of(dict.fromkeys(DIMENSIONS, scores))
    assert reference.replies == len(scores)
    assert reference.shares[Dimension.SAFETY] == pytest.approx(served, abs=1e-6)


@given(SCORES)
def test_it_survives_its_file(scores: list[float]) -> None:
    reference = ScoreReference.of(dict.fromkeys(DIMENSIONS, scores))
    assert ScoreReference.model_validate_json(reference.model_dump_json()) == reference


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param({}, id="none"),
        pytest.param(dict.fromkeys(DIMENSIONS[:6], (0.2,) * 5), id="six dimensions"),
        pytest.param(dict.fromkeys(DIMENSIONS, (0.5,) * 5), id="sum of 2.5"),
        pytest.param(dict.fromkeys(DIMENSIONS, (1.5, -0.5, 0.0, 0.0, 0.0)), id="negative"),
        pytest.param(dict.fromkeys(DIMENSIONS, (0.25,) * 4), id="four bins"),
        pytest.param(dict.fromkeys(DIMENSIONS, (float("nan"),) * 5), id="not a number"),
    ],
)
def test_what_is_no_distribution_is_refused(shares: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValidationError):
        ScoreReference.model_validate({"replies": 10, "shares": shares})
