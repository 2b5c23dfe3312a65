import pytest

from judge_service.judgment import StoredVerdict
from judge_service.settings import ShadowSettings
from services.contracts.checkpoints import CheckpointState as State
from services.contracts.checkpoints import RejectionReason as Reason
from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS, Dimension
from tests.unit.judge_service.checkpoints.conftest import Replica, World

pytestmark = pytest.mark.anyio

TURNS = (Turn(role="user", content="I am low."),)
AT_THREE = StoredVerdict(distributions=((0.0, 0.0, 1.0, 0.0, 0.0),) * 7, truncated=False)


async def _shadowing(world: World, score: float, *, promotion: str = "automatic", **settings: float) -> Replica:
    """A replica on an active checkpoint that scores 3.0, with a candidate in shadow."""
    world.shadow = ShadowSettings.model_validate({"share": 1.0, "min_compared": 4, **settings})
    world.add("first", 3.0)
    replica = world.replica("one", {"promotion": promotion})
    await replica.start()
    world.add("second", score)
    await replica.settle()
    assert replica.state("second") is State.SHADOW
    return replica


async def _judge(replica: Replica, count: int) -> None:
    with replica.judges.lease() as served:
        for number in range(count):
            replica.shadow.observe(served, TURNS, f"Reply {number}.", AT_THREE)
            await replica.shadow.settled()


async def test_candidate_within_bounds_is_promoted_once_enough_was_compared(world: World) -> None:
    replica = await _shadowing(world, 3.4)
    await _judge(replica, 3)
    await replica.settle()
    assert replica.state("second") is State.SHADOW
    await _judge(replica, 1)
    report = replica.view("second").shadow
    assert report is not None
    assert (report.compared, report.failed) == (4, 0)
    assert report.mean_gap == pytest.approx(dict.fromkeys(DIMENSIONS, 0.4), abs=1e-6)
    await replica.settle()
    assert replica.state("second") is State.ACTIVE


@pytest.mark.parametrize(
    ("score", "detail"),
    [
        pytest.param(3.7, "guidance differs by 0.70 levels on average over 4 replies", id="gap"),
        pytest.param(2.6, "guidance flips its flag on 100% of 4 replies", id="flips"),
    ],
)
async def test_candidate_out_of_bounds_is_rejected_and_says_why(world: World, score: float, detail: str) -> None:
    replica = await _shadowing(world, score)
    active = replica.serving
    await _judge(replica, 4)
    await replica.settle()
    view = replica.view("second")
    assert (view.state, view.reason, view.detail) == (State.REJECTED, Reason.SHADOW_DISAGREES, detail)
    assert replica.serving == active
    flips = replica.registry.get_sample_value(
        "theraloop_checkpoint_shadow_flips_total", {"dimension": Dimension.GUIDANCE}
    )
    assert flips == (4.0 if score < 3.0 else 0.0)


async def test_by_hand_it_shadows_on_until_someone_activates_it(world: World) -> None:
    replica = await _shadowing(world, 3.2, promotion="by_hand")
    await _judge(replica, 8)
    await replica.settle()
    assert replica.state("second") is State.SHADOW
    await replica.hot.switch.activate("second", by="ops", force=False)
    assert replica.state("second") is State.ACTIVE


async def test_share_of_live_replies_is_scored_and_failures_are_counted(world: World) -> None:
    replica = await _shadowing(world, 3.2, share=0.25)
    await _judge(replica, 8)
    world.engines[0].down = True
    await _judge(replica, 4)
    report = replica.view("second").shadow
    assert report is not None
    assert (report.compared, report.failed) == (2, 1)


async def test_store_that_is_away_when_it_is_decided_only_delays_the_promotion(world: World) -> None:
    replica = await _shadowing(world, 3.4)
    await _judge(replica, 4)
    world.store.lost = True
    await replica.settle()
    assert replica.state("second") is State.SHADOW
    world.store.lost = False
    await replica.settle()
    assert replica.state("second") is State.ACTIVE


async def test_store_that_is_lost_within_the_decision_and_has_moved_is_followed(world: World) -> None:
    replica = await _shadowing(world, 3.4)
    await _judge(replica, 4)
    world.store.lost_after_advance = True
    await replica.settle()
    assert replica.state("second") is State.SHADOW
    world.store.lost = world.store.lost_after_advance = False
    await replica.settle()
    assert replica.state("second") is State.ACTIVE


async def test_candidate_that_fails_to_score_too_many_is_rejected(world: World) -> None:
    replica = await _shadowing(world, 3.4)
    active = replica.serving
    await _judge(replica, 2)
    world.engines[0].down = True
    await _judge(replica, 2)
    world.engines[0].down = False
    await replica.settle()
    view = replica.view("second")
    assert (view.state, view.reason) == (State.REJECTED, Reason.SHADOW_DISAGREES)
    assert view.detail == "it failed to score 2 of 4 replies"
    assert replica.serving == active


async def test_few_failures_count_as_replies_given_and_keep_no_candidate_waiting(world: World) -> None:
    replica = await _shadowing(world, 3.4)
    world.engines[0].down = True
    await _judge(replica, 1)
    world.engines[0].down = False
    await _judge(replica, 3)
    await replica.settle()
    assert replica.state("second") is State.ACTIVE


async def test_newer_arrival_takes_the_candidates_place(world: World) -> None:
    replica = await _shadowing(world, 3.2)
    world.add("third", 3.3)
    await replica.settle()
    assert (replica.state("second"), replica.view("second").reason) == (State.VERIFIED, "superseded")
    assert replica.state("third") is State.SHADOW
