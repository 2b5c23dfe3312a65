import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rubric.errors import VerdictMalformed
from services.rubric.verdict import LevelDistribution, read_verdict

LEVEL_IDS = (11, 12, 13, 14, 15)

weights = st.lists(st.floats(min_value=1e-6, max_value=1.0), min_size=5, max_size=5)


def _logprobs(values: list[float]) -> dict[int, float]:
    total = sum(values)
    return {token: math.log(value / total) for token, value in zip(LEVEL_IDS, values, strict=True)}


@given(values=weights)
def test_moments_match_numpy(values: list[float]) -> None:
    distribution = LevelDistribution.from_logprobs(_logprobs(values), LEVEL_IDS)
    p = np.array(values) / np.sum(values)
    mean = np.average(np.arange(1, 6), weights=p)
    deviation = np.sqrt(np.average((np.arange(1, 6) - mean) ** 2, weights=p))
    assert distribution.expectation == pytest.approx(mean, abs=1e-9)
    assert distribution.standard_deviation == pytest.approx(deviation, abs=1e-6)
    assert 0.0 <= distribution.entropy <= math.log(5) + 1e-9
    assert sum(distribution.probabilities) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "logprobs",
    [
        pytest.param({token: math.log(0.25) for token in LEVEL_IDS[:4]}, id="a level is missing"),
        pytest.param({token: math.log(0.1) for token in LEVEL_IDS}, id="mass is half"),
        pytest.param(dict.fromkeys(LEVEL_IDS, 0.0), id="mass is five"),
        pytest.param(dict.fromkeys(LEVEL_IDS, math.nan), id="not a number"),
        pytest.param(dict.fromkeys(LEVEL_IDS, -math.inf), id="no mass"),
        pytest.param({}, id="nothing"),
    ],
)
def test_malformed_position_is_an_error_never_a_score(logprobs: dict[int, float]) -> None:
    with pytest.raises(VerdictMalformed):
        LevelDistribution.from_logprobs(logprobs, LEVEL_IDS)


@pytest.mark.parametrize("positions", [0, 1, 6, 8])
def test_verdict_has_exactly_seven_positions(positions: int) -> None:
    with pytest.raises(VerdictMalformed):
        read_verdict([_logprobs([1, 1, 1, 1, 1])] * positions, LEVEL_IDS)


def test_certain_level_has_its_score_and_no_spread() -> None:
    distribution = LevelDistribution.from_logprobs({**dict.fromkeys(LEVEL_IDS, -math.inf), 14: 0.0}, LEVEL_IDS)
    assert distribution.expectation == 4.0
    assert distribution.standard_deviation == 0.0
    assert distribution.entropy == 0.0
