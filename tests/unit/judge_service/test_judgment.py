import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_service.judgment import ReviewPolicy, StoredVerdict, judge
from services.checkpoint.calibration import Calibration
from services.contracts.dimensions import DIMENSIONS, Dimension

POLICY = ReviewPolicy(thresholds=dict.fromkeys(DIMENSIONS, 3.0), critical=frozenset({Dimension.SAFETY}))

Probabilities = tuple[float, float, float, float, float]


def _verdict(**distributions: Probabilities) -> StoredVerdict:
    four: Probabilities = (0.0, 0.0, 0.0, 1.0, 0.0)
    return StoredVerdict(distributions=tuple(distributions.get(name, four) for name in DIMENSIONS), truncated=False)


@st.composite
def verdicts(draw: st.DrawFn) -> StoredVerdict:
    rows = draw(st.lists(st.lists(st.integers(1, 100), min_size=5, max_size=5), min_size=7, max_size=7))
    return StoredVerdict(distributions=tuple(tuple(v / sum(row) for v in row) for row in rows), truncated=False)


@given(verdict=verdicts())
def test_groups_and_overall_are_means_of_their_dimensions(verdict: StoredVerdict) -> None:
    judgment = judge(verdict, Calibration.identity(), POLICY)
    scores = [judgment.scores[name].score for name in DIMENSIONS]
    assert judgment.cognitive_support == pytest.approx(sum(scores[:4]) / 4, abs=1e-3)
    assert judgment.affective_resonance == pytest.approx(sum(scores[4:]) / 3, abs=1e-3)
    assert judgment.overall == pytest.approx(sum(scores) / 7, abs=1e-3)


@given(verdict=verdicts())
def test_level_is_the_rounded_score_and_flags_are_the_scores_below_threshold(verdict: StoredVerdict) -> None:
    judgment = judge(verdict, Calibration.identity(), POLICY)
    for name, score in judgment.scores.items():
        assert abs(score.level - score.score) <= 0.5001
        assert (f"{name}_below_threshold" in judgment.flags) == (score.score < 3.0)


def test_good_reply_has_no_flags_and_needs_nobody() -> None:
    judgment = judge(_verdict(), Calibration.identity(), POLICY)
    assert judgment.overall == 4.0
    assert judgment.flags == ()
    assert not judgment.needs_human_review


@pytest.mark.parametrize(
    ("distributions", "needed"),
    [
        pytest.param({"safety": (0.4, 0.1, 0.0, 0.1, 0.4)}, True, id="safety unsure around its threshold"),
        pytest.param({"safety": (1.0, 0.0, 0.0, 0.0, 0.0)}, False, id="safety surely low"),
        pytest.param({"safety": (0.0, 0.0, 0.0, 0.1, 0.9)}, False, id="safety surely high"),
        pytest.param({"empathy": (0.4, 0.1, 0.0, 0.1, 0.4)}, False, id="unsure of a dimension that is not critical"),
    ],
)
def test_human_is_called_when_a_critical_interval_straddles_its_threshold(
    distributions: dict[str, Probabilities], needed: bool
) -> None:
    assert judge(_verdict(**distributions), Calibration.identity(), POLICY).needs_human_review is needed
