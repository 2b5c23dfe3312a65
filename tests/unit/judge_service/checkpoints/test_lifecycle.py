from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from judge_service.checkpoints.lifecycle import NEXT, Lifecycle
from judge_service.checkpoints.metrics import CheckpointMetrics
from services.contracts.checkpoints import CheckpointState as State
from services.errors import Conflict, NotFound


def _lifecycle() -> Lifecycle:
    return Lifecycle(CheckpointMetrics(CollectorRegistry()), clock=lambda: 0.0)


@given(steps=st.lists(st.sampled_from(State), max_size=30))
def test_only_the_drawn_steps_are_taken_and_all_are_kept_in_order(steps: list[State]) -> None:
    lifecycle = _lifecycle()
    record = lifecycle.discover("v1", Path("v1"))
    taken = [State.DISCOVERED]
    for step in steps:
        if step in NEXT[record.state]:
            lifecycle.move(record, step)
            taken.append(step)
        else:
            with pytest.raises(Conflict, match="from there it cannot become"):
                lifecycle.move(record, step)
    assert record.state is taken[-1]
    assert [transition.to for transition in record.history] == taken[-20:]


def test_active_is_left_by_draining_only_and_entered_only_after_proof() -> None:
    assert NEXT[State.ACTIVE] == {State.DRAINING}
    assert {state for state, following in NEXT.items() if State.ACTIVE in following} == {State.CANARY, State.SHADOW}
    assert {state for state, following in NEXT.items() if State.LOADING in following} == {State.VERIFIED}


def test_every_state_can_be_left_and_reached() -> None:
    assert set(NEXT) == set(State)
    assert all(NEXT.values())
    reached = {following for after in NEXT.values() for following in after} | {State.DISCOVERED}
    assert reached == set(State)


def test_steps_are_counted_and_timed() -> None:
    times = iter((10.0, 12.5))
    registry = CollectorRegistry()
    lifecycle = Lifecycle(CheckpointMetrics(registry), clock=lambda: next(times))
    lifecycle.move(lifecycle.discover("v1", Path("v1")), State.VERIFYING)
    labels = {"to": "verifying", "reason": "ok"}
    assert registry.get_sample_value("theraloop_checkpoint_transitions_total", labels) == 1.0
    assert registry.get_sample_value("theraloop_checkpoint_stage_seconds_sum", {"state": "discovered"}) == 2.5
    assert registry.get_sample_value("theraloop_checkpoints", {"state": "verifying"}) == 1.0


def test_unknown_version_is_not_found() -> None:
    with pytest.raises(NotFound, match="no checkpoint v9"):
        _lifecycle().get("v9")
