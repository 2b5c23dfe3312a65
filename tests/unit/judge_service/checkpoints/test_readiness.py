import shutil

import pytest

from judge_service.readiness import readiness_probes
from services.cache.memory import InProcessCache
from services.errors import ServiceError
from tests.unit.judge_service.checkpoints.conftest import Replica, World

pytestmark = pytest.mark.anyio


async def _said(replica: Replica) -> dict[str, str]:
    """What each probe says; what is not ready begins with `no:`."""
    said = {}
    for probe in readiness_probes(replica.fleet, replica.judges, replica.hot, InProcessCache(1 << 10)):
        try:
            said[probe.name] = await probe.check()
        except ServiceError as error:
            said[probe.name] = f"no: {error.detail}"
    return said


async def test_ready_names_the_checkpoint_the_engine_and_the_pointer(world: World) -> None:
    label = world.add("first", 3.0)
    replica = world.replica("one", {})
    assert (await _said(replica))["checkpoint"] == "no: no judge is active yet"
    await replica.start()
    said = await _said(replica)
    assert said["checkpoint"] == label
    assert said["engine"] == f"serves tiny, {label}"
    assert said["pointer"] == "process, generation 1"


async def test_engine_that_restarted_without_the_adapter_is_not_ready(world: World) -> None:
    label = world.add("first", 3.0)
    replica = world.replica("one", {})
    await replica.start()
    world.engines[0].restart()
    assert (await _said(replica))["checkpoint"] == f"no: no engine serves {label}"


async def test_replica_that_cannot_follow_the_pointer_is_not_ready_and_says_why(world: World) -> None:
    world.add("first", 3.0)
    one, two = world.replica("one", {"promotion": "by_hand"}), world.replica("two", {})
    await one.start()
    await two.start()
    world.add("second", 4.0)
    await one.hot.switch.activate("second", by="ops", force=False)
    shutil.rmtree(world.root / "second")
    await two.settle()
    said = (await _said(two))["checkpoint"]
    assert said.startswith("no: the pointer names second, which cannot be served here")
    world.add("second", 4.0)
    await two.settle()
    assert (await _said(two))["checkpoint"].startswith("second-")


async def test_lost_pointer_store_is_named_and_takes_no_traffic_away(world: World) -> None:
    label = world.add("first", 3.0)
    replica = world.replica("one", {})
    await replica.start()
    world.store.lost = True
    await replica.settle()
    said = await _said(replica)
    assert said["pointer"].startswith("no: the pointer's store does not answer")
    assert said["checkpoint"] == label
