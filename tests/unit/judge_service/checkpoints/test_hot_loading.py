"""The hot loader against engines in memory: each outcome of issue and design, and each fault."""

import asyncio
import os
import shutil
from collections.abc import Callable

import anyio
import pytest

from judge_service.checkpoints.pointer import PointerUnavailable
from services.contracts.checkpoints import CheckpointState as State
from services.contracts.checkpoints import RejectionReason as Reason
from services.deadline import Deadline
from services.errors import Conflict, EngineUnavailable, NotFound
from tests.support.checkpoint_folders import edit_manifest, write_checkpoint
from tests.support.fake_engine import FakeEngine
from tests.unit.judge_service.checkpoints.conftest import Replica, World

pytestmark = pytest.mark.anyio


def _soon() -> Deadline:
    return Deadline.after(30.0)


async def _started(world: World, name: str = "one", **settings: object) -> Replica:
    replica = world.replica(name, settings)
    await replica.start()
    return replica


async def test_base_model_judges_and_says_so_while_nothing_is_promotable(world: World) -> None:
    world.add("draft", 4.0, promotable=False)
    replica = await _started(world)
    assert (replica.serving or "").startswith("base:")
    assert (replica.state("draft"), replica.view("draft").reason) == (State.REJECTED, Reason.NOT_PROMOTABLE)
    assert replica.hot.switch.trouble is None


async def test_first_start_serves_the_newest_promotable_and_leaves_the_older_alone(world: World) -> None:
    world.add("first", 3.0)
    label = world.add("second", 4.0)
    world.add("third", 5.0, promotable=False)
    replica = await _started(world)
    await replica.settle()
    assert replica.serving == label
    assert replica.state("first") is State.DISCOVERED
    assert (await replica.hot.catalogue.all()).audit[0].action == "begin"


async def test_arrival_is_promoted_and_the_old_one_unloads_only_when_its_requests_are_done(world: World) -> None:
    old = world.add("first", 3.0)
    replica = await _started(world)
    with replica.judges.lease() as leased:
        new = world.add("second", 4.0)
        await replica.settle()
        assert (leased.label, replica.serving) == (old, new)
        assert replica.state("first") is State.DRAINING
        assert set(world.engines[0].adapters) == {old, new}
    await replica.settle()
    assert replica.state("first") is State.RETIRED
    assert set(world.engines[0].adapters) == {new}
    steps = [step.to for step in replica.view("second").history]
    assert steps[-3:] == [State.LOADING, State.CANARY, State.ACTIVE]


@pytest.mark.parametrize("written_s", [0, 4_000_000_000], ids=["a clock of 1970", "a clock of 2096"])
async def test_arrival_is_promoted_whatever_clock_it_was_written_by(world: World, written_s: int) -> None:
    world.add("first", 3.0)
    replica = await _started(world)
    label = world.add("second", 4.0)
    os.utime(world.root / "second", (written_s, written_s))
    await replica.settle()
    assert replica.serving == label


async def test_drain_is_bounded(world: World) -> None:
    old = world.add("first", 3.0)
    replica = await _started(world, drain_s=1e-9)
    with replica.judges.lease():
        world.add("second", 4.0)
        await replica.settle()
    assert old in world.engines[0].unloaded


async def test_by_hand_an_arrival_is_verified_and_waits(world: World) -> None:
    world.add("first", 3.0)
    replica = await _started(world, promotion="by_hand")
    label = world.add("second", 4.0)
    await replica.settle()
    assert replica.state("second") is State.VERIFIED
    assert label not in world.engines[0].adapters
    await replica.hot.switch.activate("second", by="ops", force=False)
    await replica.hot.switch.activate("second", by="ops", force=False)
    assert replica.serving == label
    audit = (await replica.hot.catalogue.all()).audit
    assert [(entry.action, entry.by) for entry in audit] == [("activate", "ops"), ("begin", "automatic")]


async def test_not_promotable_needs_force(world: World) -> None:
    replica = await _started(world)
    label = world.add("draft", 4.0, promotable=False)
    with pytest.raises(Conflict, match="not_promotable: a test says so"):
        await replica.hot.switch.activate("draft", by="ops", force=False)
    await replica.hot.switch.activate("draft", by="ops", force=True)
    assert replica.serving == label
    assert (await replica.hot.catalogue.all()).audit[0].forced


def _wrong_scores(world: World) -> None:
    engine = world.engines[0]
    engine.answering = lambda model: "drifted" if model.startswith("next") else model
    engine.adapters["drifted"] = 4.5


def _base_answers(world: World) -> None:
    world.engines[0].answering = lambda model: "tiny" if model.startswith("next") else model


def _refuses(world: World) -> None:
    world.engines[0].refuses = True


def _of_another_model(world: World) -> None:
    shutil.rmtree(world.root / "next")
    write_checkpoint(world.root / "next", fingerprint="1" * 64, level_ids=world.tokenizer.level_ids)


def _other_tokens(world: World) -> None:
    shutil.rmtree(world.root / "next")
    write_checkpoint(world.root / "next")


def _rank(world: World) -> None:
    shutil.rmtree(world.root / "next")
    world.add("next", 4.0, rank=32)


def _spoilt(world: World) -> None:
    edit_manifest(world.root / "next", rubric_sha256="0" * 64)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(_wrong_scores, Reason.GOLDEN_SCORES_OFF, id="golden scores off"),
        pytest.param(_base_answers, Reason.ADAPTER_DID_NOT_ANSWER, id="the base answered"),
        pytest.param(_refuses, Reason.ENGINE_REFUSED, id="the engine refuses it"),
        pytest.param(_of_another_model, Reason.WRONG_BASE_MODEL, id="another base model"),
        pytest.param(_other_tokens, Reason.LEVEL_TOKENS_MISMATCH, id="other level tokens"),
        pytest.param(_rank, Reason.RANK_TOO_HIGH, id="rank above the engine's"),
        pytest.param(_spoilt, Reason.RUBRIC_MISMATCH, id="spoilt folder"),
    ],
)
async def test_unfit_checkpoint_is_rejected_and_the_active_one_never_notices(
    world: World, spoil: Callable[[World], None], reason: Reason
) -> None:
    active = world.add("good", 3.0)
    replica = await _started(world)
    world.add("next", 4.0)
    spoil(world)
    await replica.settle()
    await replica.settle()
    assert (replica.state("next"), replica.view("next").reason) == (State.REJECTED, reason)
    assert replica.serving == active
    assert not any(name.startswith("next") for name in world.engines[0].adapters)
    transitions = replica.registry.get_sample_value(
        "theraloop_checkpoint_transitions_total", {"to": "rejected", "reason": reason}
    )
    assert transitions == 1.0


async def test_old_adapter_answering_for_the_new_one_is_found_out(world: World) -> None:
    world.add("good", 4.0)
    replica = await _started(world)
    active = replica.serving or ""
    world.add("next", 4.0)
    world.engines[0].answering = lambda model: active if model.startswith("next") else model
    await replica.settle()
    assert replica.view("next").reason == Reason.ADAPTER_DID_NOT_ANSWER
    assert replica.serving == active


async def test_engine_killed_during_load_leaves_it_verified_and_it_is_promoted_once_the_engine_is_back(
    world: World,
) -> None:
    active = world.add("good", 3.0)
    replica = await _started(world)
    label = world.add("next", 4.0)
    engine = world.engines[0]

    def die() -> None:
        engine.down = True

    engine.before_load = die
    await replica.settle()
    assert (replica.state("next"), replica.view("next").reason) == (State.VERIFIED, "engine_unavailable")
    assert replica.serving == active
    engine.before_load = lambda: None
    engine.restart()
    await replica.settle()
    assert replica.serving == label


async def test_engine_that_restarted_gets_the_active_adapter_back_before_requests_reach_it(world: World) -> None:
    active = world.add("good", 3.0)
    replica = await _started(world)
    world.engines[0].restart()
    await replica.fleet.refresh(_soon())
    assert replica.fleet.serves(active) == {"engine-0": False}
    await replica.settle()
    assert replica.fleet.serves(active) == {"engine-0": True}


async def test_each_of_several_engines_is_proven_and_one_that_is_down_is_left_out_until_mended(world: World) -> None:
    world.engines.append(FakeEngine())
    world.engines[1].down = True
    active = world.add("good", 3.0)
    replica = await _started(world)
    assert replica.serving == active
    assert replica.fleet.serves(active) == {"engine-0": True, "engine-1": False}
    world.engines[1].restart()
    world.engines[1].answering = lambda _: "tiny"
    await replica.settle()
    assert replica.fleet.serves(active) == {"engine-0": True, "engine-1": False}
    world.engines[1].answering = lambda model: model
    await replica.settle()
    assert replica.fleet.serves(active) == {"engine-0": True, "engine-1": True}


async def test_rollback_goes_back_once_however_often_it_is_asked_for(world: World) -> None:
    old = world.add("first", 3.0)
    replica = await _started(world)
    world.add("second", 4.0)
    await replica.settle()
    for _ in range(3):
        await replica.hot.switch.rollback(by="ops", from_version="second")
    assert replica.serving == old
    await replica.settle()
    assert replica.serving == old
    with pytest.raises(Conflict, match="no earlier checkpoint"):
        await replica.hot.switch.rollback(by="ops", from_version=None)


async def test_rollback_refuses_a_version_whose_content_was_changed(world: World) -> None:
    world.add("first", 3.0)
    replica = await _started(world)
    label = world.add("second", 4.0)
    await replica.settle()
    shutil.rmtree(world.root / "first")
    world.add("first", 3.5)
    with pytest.raises(Conflict, match="digest_mismatch"):
        await replica.hot.switch.rollback(by="ops", from_version=None)
    assert replica.serving == label


async def test_retired_one_is_promoted_by_nobody_but_can_be_activated_by_name(world: World) -> None:
    world.add("first", 3.0)
    one = await _started(world)
    two = await _started(world, "two", promotion="by_hand")
    label = world.add("second", 4.0)
    await two.settle()
    with pytest.raises(Conflict, match="first is active"):
        await two.hot.switch.retire("first", by="ops")
    await two.hot.switch.retire("second", by="ops")
    await two.hot.switch.retire("second", by="ops")
    await one.settle()
    assert (one.serving or "").startswith("first-")
    await one.hot.switch.activate("second", by="ops", force=False)
    assert one.serving == label
    with pytest.raises(NotFound):
        await one.hot.switch.retire("third", by="ops")


async def test_replicas_converge_and_none_unloads_what_another_still_uses(world: World) -> None:
    old = world.add("first", 3.0)
    one, two = await _started(world), await _started(world, "two")
    new = world.add("second", 4.0)
    with two.judges.lease():
        await one.settle()
        assert (one.serving, two.serving) == (new, old)
        await one.settle()
        assert old in world.engines[0].adapters
        await two.settle()
        assert two.serving == new
        await one.settle()
        assert old in world.engines[0].adapters
    await two.settle()
    await one.settle()
    assert set(world.engines[0].adapters) == {new}
    reports = (await one.hot.catalogue.all()).replicas
    assert {(report.replica, report.serving, report.generation) for report in reports} == {
        ("one", new, 2),
        ("two", new, 2),
    }


async def test_of_two_activations_at_once_one_wins_and_all_serve_it(world: World) -> None:
    world.add("first", 3.0)
    one, two = await _started(world, promotion="by_hand"), await _started(world, "two", promotion="by_hand")
    labels = {world.add("left", 4.0), world.add("right", 5.0)}
    results = await asyncio.gather(
        one.hot.switch.activate("left", by="a", force=False),
        two.hot.switch.activate("right", by="b", force=False),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) <= 1
    for _ in range(2):
        await one.settle()
        await two.settle()
    assert one.serving == two.serving
    assert one.serving in labels
    pointer = (await one.hot.catalogue.all()).pointer
    assert pointer is not None
    assert (one.serving or "").startswith(pointer.target.version)


async def test_store_lost_before_the_flip_changes_nothing(world: World) -> None:
    active = world.add("first", 3.0)
    replica = await _started(world)
    world.add("second", 4.0)
    world.store.lost = True
    with pytest.raises(PointerUnavailable):
        await replica.hot.switch.activate("second", by="ops", force=False)
    assert replica.serving == active
    assert set(world.engines[0].adapters) == {active}, "what cannot be switched to is not tried first"
    await replica.settle()
    everything = await replica.hot.catalogue.all()
    assert (everything.active, everything.pointer_reachable) == (active, False)


async def test_store_lost_within_the_flip_is_settled_by_what_it_holds_when_it_is_back(world: World) -> None:
    world.add("first", 3.0)
    replica = await _started(world, promotion="by_hand")
    label = world.add("second", 4.0)
    world.store.lost_after_advance = True
    with pytest.raises(PointerUnavailable):
        await replica.hot.switch.activate("second", by="ops", force=False)
    world.store.lost = world.store.lost_after_advance = False
    await replica.settle()
    assert replica.serving == label


async def test_store_that_forgot_everything_gets_the_pointer_back(world: World) -> None:
    world.add("first", 3.0)
    replica = await _started(world)
    label = world.add("second", 4.0)
    await replica.settle()
    world.store.forget()
    await replica.settle()
    pointer = (await world.store.read()).pointer
    assert pointer is not None
    assert (pointer.generation, pointer.target.version, replica.serving) == (2, "second", label)


async def test_restart_comes_back_on_the_pointer_not_on_the_newest(world: World) -> None:
    label = world.add("first", 3.0)
    await _started(world)
    world.add("second", 4.0)
    again = await _started(world, "again")
    assert again.serving == label
    await again.settle()
    assert again.serving == label


async def test_deleted_while_active_goes_on_serving_but_a_restart_is_not_ready(world: World) -> None:
    label = world.add("first", 3.0)
    replica = await _started(world)
    shutil.rmtree(world.root / "first")
    await replica.settle()
    assert (replica.serving, replica.view("first").present) == (label, False)
    again = await _started(world, "again")
    assert again.serving is None
    assert "the pointer names first, which cannot be served here" in (again.hot.switch.trouble or "")


async def test_start_without_the_store_serves_nothing_rather_than_a_guess(world: World) -> None:
    label = world.add("first", 3.0)
    world.store.lost = True
    replica = await _started(world)
    with pytest.raises(EngineUnavailable), replica.judges.lease():
        pass
    assert "has not answered yet" in (replica.hot.switch.trouble or "")
    world.store.lost = False
    await replica.settle()
    assert replica.serving == label


async def test_a_stop_in_the_moment_of_a_change_is_not_lost(world: World) -> None:
    label = world.add("first", 3.0)
    replica = world.replica("one", {"poll_s": 60.0})
    with anyio.move_on_after(30) as patience:
        async with replica.hot.running():
            while replica.serving != label:  # noqa: ASYNC110 - the judge's own loops make it true
                await anyio.sleep(0.01)
            await anyio.wait_all_tasks_blocked()
            replica.hot.replicas.changed.set()
    assert not patience.cancel_called
    assert replica.serving == label
