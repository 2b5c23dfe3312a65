"""Golden cases asked again while a checkpoint serves, on engines in memory: what is told, and when nothing is asked."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from judge_service.health.metrics import GoldenMetrics, ReferenceCollector
from judge_service.health.sentinels import Outcome, Sentinels
from judge_service.settings import SentinelSettings
from services.checkpoint.reference import ScoreReference
from services.contracts.dimensions import DIMENSIONS
from tests.support.fake_engine import FakeEngine
from tests.unit.judge_service.checkpoints.conftest import Replica, World

pytestmark = pytest.mark.anyio


class Watch:
    """Sentinels over one replica, and what they export."""

    def __init__(self, replica: Replica, **settings: float) -> None:
        self.registry = CollectorRegistry()
        self.sentinels = Sentinels(
            SentinelSettings.model_validate(settings), replica.judges, replica.fleet, GoldenMetrics(self.registry)
        )

    def runs(self) -> dict[str, float]:
        """Return how many runs ended how."""
        found = {
            outcome.value: self.registry.get_sample_value(
                "theraloop_judge_golden_runs_total", {"outcome": outcome.value}
            )
            for outcome in Outcome
        }
        return {outcome: count for outcome, count in found.items() if count}

    def deviation(self, checkpoint: str, engine: str = "engine-0") -> dict[str, float | None]:
        """Return the exported deviation of every dimension."""
        labels = {"checkpoint": checkpoint, "engine": engine}
        name = "theraloop_judge_golden_deviation"
        return {d: self.registry.get_sample_value(name, labels | {"dimension": d}) for d in DIMENSIONS}

    def gauge(self, name: str, checkpoint: str, engine: str = "engine-0") -> float | None:
        """Return another gauge."""
        return self.registry.get_sample_value(
            f"theraloop_judge_golden_{name}", {"checkpoint": checkpoint, "engine": engine}
        )


async def _serving(world: World, score: float = 4.0) -> tuple[Replica, str]:
    label = world.add("first", score)
    replica = world.replica("one", {"promotion": "by_hand"})
    await replica.start()
    for engine in world.engines:
        engine.asked.clear()
    return replica, label


async def test_unchanged_judge_is_told_to_be_within_tolerance_behind_live_requests(world: World) -> None:
    replica, label = await _serving(world)
    watch = Watch(replica)
    await watch.sentinels.round()
    assert watch.runs() == {"scored": 1}
    assert watch.deviation(label) == pytest.approx(dict.fromkeys(DIMENSIONS, 0.0), abs=1e-6)
    assert watch.gauge("off_ratio", label) == 0.0
    assert (watch.gauge("last_scored_timestamp_seconds", label) or 0.0) > 1e9
    assert [(request.kind, request.model, request.priority) for request in world.engines[0].asked] == [
        ("sentinel", label, 1)
    ] * 3


async def test_judge_that_changed_is_told_with_how_far_and_goes_on_serving(world: World) -> None:
    replica, label = await _serving(world)
    world.engines[0].adapters[label] = 3.3
    watch = Watch(replica)
    await watch.sentinels.round()
    assert watch.deviation(label) == pytest.approx(dict.fromkeys(DIMENSIONS, 0.7), abs=1e-6)
    assert watch.gauge("off_ratio", label) == 1.0
    assert replica.serving == label


async def test_every_engine_is_asked_for_itself(world: World) -> None:
    world.engines.append(FakeEngine())
    replica, label = await _serving(world)
    world.engines[1].adapters[label] = 3.5
    watch = Watch(replica)
    await watch.sentinels.round()
    assert watch.runs() == {"scored": 2}
    assert (watch.gauge("off_ratio", label), watch.gauge("off_ratio", label, "engine-1")) == (0.0, 1.0)


async def test_base_model_has_no_golden_cases(world: World) -> None:
    replica = world.replica("one", {})
    await replica.start()
    watch = Watch(replica)
    await watch.sentinels.round()
    assert watch.runs() == {"no_checkpoint": 1}
    assert not world.engines[0].asked


@pytest.mark.parametrize(("queue", "in_flight"), [(1, 0), (0, 2)], ids=["requests wait in it", "we have many there"])
async def test_saturated_engine_is_left_alone_until_it_is_not(world: World, queue: int, in_flight: int) -> None:
    replica, label = await _serving(world)
    world.engines[0].queue = queue
    replica.fleet.members[0].in_flight = in_flight
    watch = Watch(replica, busy_in_flight=2)
    await watch.sentinels.round()
    assert watch.runs() == {"engine_saturated": 1}
    assert not world.engines[0].asked
    assert watch.gauge("off_ratio", label) is None
    world.engines[0].queue = replica.fleet.members[0].in_flight = 0
    await watch.sentinels.round()
    assert watch.runs() == {"engine_saturated": 1, "scored": 1}


async def test_engine_that_does_not_answer_is_counted_and_leaves_the_last_figures(world: World) -> None:
    replica, label = await _serving(world)
    watch = Watch(replica)
    await watch.sentinels.round()
    world.engines[0].down = True
    await watch.sentinels.round()
    assert watch.runs() == {"scored": 1, "engine_failed": 1}
    assert watch.gauge("off_ratio", label) == 0.0


async def test_engine_that_lost_the_adapter_is_not_asked(world: World) -> None:
    replica, _ = await _serving(world)
    replica.fleet.members[0].proven.clear()
    watch = Watch(replica)
    await watch.sentinels.round()
    assert watch.runs() == {"engine_failed": 1}


async def test_after_a_switch_only_the_new_checkpoint_is_told_of(world: World) -> None:
    replica, old = await _serving(world)
    watch = Watch(replica)
    await watch.sentinels.round()
    new = world.add("second", 3.0)
    await replica.hot.switch.activate("second", by="ops", force=False)
    await watch.sentinels.round()
    assert watch.gauge("off_ratio", old) is None
    assert watch.gauge("off_ratio", new) == 0.0


async def test_switch_in_the_middle_of_a_run_throws_its_figures_away(world: World) -> None:
    replica, _ = await _serving(world)
    world.add("second", 3.0)
    watch = Watch(replica)
    held = replica.judges.current
    assert held is not None
    await replica.hot.switch.activate("second", by="ops", force=False)
    second = replica.judges.switch(held)
    assert second is not None
    world.engines[0].answering = lambda model: (replica.judges.switch(second), model)[1]
    await watch.sentinels.round()
    assert watch.runs() == {"checkpoint_switched": 1}
    assert watch.deviation(held.label) == dict.fromkeys(DIMENSIONS)


async def test_of_a_large_set_the_next_cases_are_asked_in_turn(world: World) -> None:
    replica, _ = await _serving(world)
    watch = Watch(replica, cases=2)
    prompts = []
    for _ in range(3):
        await watch.sentinels.round()
        prompts.append([request.prompt_ids for request in world.engines[0].asked])
        world.engines[0].asked.clear()
    assert [len(asked) for asked in prompts] == [2, 2, 2]
    assert len({prompt for asked in prompts for prompt in asked}) == 3


async def test_they_run_by_themselves_and_stop_with_the_service(world: World) -> None:
    replica, _ = await _serving(world)
    asked = asyncio.Event()

    def answering(model: str) -> str:
        asked.set()
        return model

    world.engines[0].answering = answering
    watch = Watch(replica, interval_s=1e-6)
    async with watch.sentinels.running():
        async with asyncio.timeout(30):
            await asked.wait()
    count = len(world.engines[0].asked)
    await asyncio.sleep(0)
    assert len(world.engines[0].asked) == count


async def test_interval_of_zero_turns_them_off(world: World) -> None:
    replica, _ = await _serving(world)
    watch = Watch(replica, interval_s=0.0)
    async with watch.sentinels.running():
        await asyncio.sleep(0)
    assert not world.engines[0].asked
    assert watch.registry.get_sample_value("theraloop_judge_golden_runs_total", {"outcome": "scored"}) is None


async def test_reference_of_the_active_checkpoint_is_exported_and_of_no_other(world: World) -> None:
    replica, without = await _serving(world)
    registry = CollectorRegistry()
    registry.register(ReferenceCollector(replica.judges))

    def shares(checkpoint: str) -> list[float | None]:
        labels = {"checkpoint": checkpoint, "dimension": "safety"}
        name = "theraloop_judge_reference_share"
        return [registry.get_sample_value(name, labels | {"bin": str(number)}) for number in range(1, 6)]

    assert shares(without) == [None] * 5
    reference = ScoreReference.of(dict.fromkeys(DIMENSIONS, (1.2, 3.5, 3.6, 5.0)))
    label = world.add("second", 3.0, reference=reference)
    await replica.hot.switch.activate("second", by="ops", force=False)
    assert shares(label) == [0.25, 0.0, 0.25, 0.25, 0.25]
    assert shares(without) == [None] * 5
