import pytest

from agent_service.budget import ROUND_STAGES, Budget, Stage, StageTimes
from services.deadline import Deadline


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_an_unmeasured_stage_has_no_estimate_and_a_first_round_is_always_tried() -> None:
    times = StageTimes()
    assert times.estimate_s(Stage.CRITIC) is None
    assert Budget(times, Deadline.after(0.5)).round_fits()


def test_the_estimate_is_the_quantile_of_recent_durations() -> None:
    times = StageTimes(quantile=0.75, window=4)
    for seconds in (9.0, 1.0, 2.0, 3.0, 4.0):
        times.record(Stage.COACH, seconds)
    assert times.estimate_s(Stage.COACH) == 4.0


def test_old_measurements_are_forgotten_so_that_one_bad_spell_does_not_last() -> None:
    clock = Clock()
    times = StageTimes(max_age_s=60.0, clock=clock)
    times.record(Stage.CRITIC, 100.0)
    assert not Budget(times, Deadline.after(10)).round_fits()
    clock.now_s = 61.0
    assert Budget(times, Deadline.after(10)).round_fits()


def test_a_round_that_would_not_fit_is_not_begun() -> None:
    times = StageTimes()
    for stage in ROUND_STAGES:
        times.record(stage, 2.0)
    assert not Budget(times, Deadline.after(7.9)).round_fits()
    assert Budget(times, Deadline.after(9)).round_fits()
    assert not Budget(StageTimes(), Deadline.after(0)).round_fits()


def test_a_stage_gets_its_share_of_what_is_left_by_measured_times() -> None:
    times = StageTimes()
    for stage, seconds in zip(ROUND_STAGES, (1.0, 1.0, 6.0, 2.0), strict=True):
        times.record(stage, seconds)
    budget = Budget(times, Deadline.after(100))
    assert budget.for_stage(Stage.CRITIC, ROUND_STAGES[1:]).remaining_s() == pytest.approx(10.0, rel=0.01)
    assert budget.for_stage(Stage.THERAPIST, ROUND_STAGES[3:]).remaining_s() == pytest.approx(75.0, rel=0.01)
    assert budget.for_stage(Stage.JUDGE_CANDIDATES, ()).remaining_s() == pytest.approx(100.0, rel=0.01)
