import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.checkpoint.calibration import Calibration, DimensionCalibration
from services.contracts.dimensions import DIMENSIONS
from services.rubric.verdict import LevelDistribution

levels = st.floats(min_value=1.0, max_value=5.0)


@st.composite
def maps(draw: st.DrawFn) -> DimensionCalibration:
    raw = sorted(draw(st.lists(levels, min_size=2, max_size=8, unique=True)))
    calibrated = sorted(draw(st.lists(levels, min_size=len(raw), max_size=len(raw))))
    return DimensionCalibration(raw=tuple(raw), calibrated=tuple(calibrated), interval_scale=1.3, interval_floor=0.2)


def _at(expectation: float) -> LevelDistribution:
    low = min(int(expectation), 4)
    probabilities = [0.0] * 5
    probabilities[low - 1], probabilities[low] = low + 1 - expectation, expectation - low
    return LevelDistribution(tuple(probabilities))  # type: ignore[arg-type]


@given(calibration=maps(), value=levels)
def test_map_is_linear_interpolation(calibration: DimensionCalibration, value: float) -> None:
    expected = np.interp(value, calibration.raw, calibration.calibrated)
    assert calibration.apply(_at(value)).score == pytest.approx(expected, abs=1e-6)


@given(calibration=maps(), first=levels, second=levels)
def test_higher_expectation_never_scores_lower(calibration: DimensionCalibration, first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert calibration.apply(_at(low)).score <= calibration.apply(_at(high)).score + 1e-9


@given(calibration=maps(), value=levels)
def test_interval_holds_the_score_and_stays_on_the_scale(calibration: DimensionCalibration, value: float) -> None:
    result = calibration.apply(_at(value))
    assert 1.0 <= result.interval[0] <= result.score <= result.interval[1] <= 5.0


@given(value=levels)
def test_identity_leaves_scores_as_they_are(value: float) -> None:
    identity = Calibration.identity()
    for name in DIMENSIONS:
        assert identity.dimensions[name].apply(_at(value)).score == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"raw": (1.0, 1.0)}, id="flat raw"),
        pytest.param({"calibrated": (3.0, 2.0)}, id="decreasing"),
        pytest.param({"calibrated": (1.0, 2.0, 3.0)}, id="lengths differ"),
        pytest.param({"calibrated": (0.0, 5.0)}, id="leaves the scale"),
        pytest.param({"interval_scale": 0.0}, id="no width"),
        pytest.param({"raw": (math.nan, 5.0)}, id="raw is no number"),
        pytest.param({"calibrated": (math.nan, 5.0)}, id="calibrated is no number"),
        pytest.param({"interval_scale": math.inf}, id="width without end"),
        pytest.param({"interval_floor": math.nan}, id="floor is no number"),
    ],
)
def test_broken_map_is_refused(change: dict[str, object]) -> None:
    whole: dict[str, object] = {
        "raw": (1.0, 5.0),
        "calibrated": (1.0, 5.0),
        "interval_scale": 1.0,
        "interval_floor": 0.0,
    }
    with pytest.raises(ValidationError):
        DimensionCalibration.model_validate(whole | change)
