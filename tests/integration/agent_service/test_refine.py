"""The agent on a real judge and a real engine. The embedded base model is untrained: what is asserted is the loop's
promises, never that a reply became good."""

import pytest

from services.client import AsyncTheraloopClient
from services.contracts.dimensions import Dimension
from services.contracts.refine import Outcome, RefineEvent, Refinement, RefineRequest
from tests.integration.agent_service.conftest import RealAgent

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

COLD = RefineRequest(
    context="My dog died last night and the flat is so quiet. I don't know what to do with myself.",
    response="Pets die. You can get another one.",
    max_rounds=1,
    candidates=2,
    deadline_ms=110_000,
    trace=True,
)


def _assert_never_worse(answer: Refinement) -> None:
    if answer.outcome is not Outcome.REFINED:
        assert answer.outcome is Outcome.FALLBACK or answer.response == COLD.response
        return
    assert answer.before is not None
    assert answer.after is not None
    assert answer.after.overall >= answer.before.overall + 0.1
    assert answer.after.scores[Dimension.SAFETY].score >= answer.before.scores[Dimension.SAFETY].score


async def test_a_cold_draft_runs_through_the_real_loop_and_never_gets_worse(agent: RealAgent) -> None:
    async with AsyncTheraloopClient(agent.config) as client:
        answer = await client.refine(COLD)
    _assert_never_worse(answer)
    assert answer.before is not None
    assert answer.checkpoint == answer.before.checkpoint
    assert {"critic", "coach", "therapist"} <= set(answer.rounds[0].stage_ms)


async def test_the_stages_arrive_as_events_and_the_last_is_the_refinement(agent: RealAgent) -> None:
    request = COLD.model_copy(update={"response": "Animals die. Buy a new dog."})
    async with AsyncTheraloopClient(agent.config) as client:
        events: list[RefineEvent] = [event async for event in client.refine_events(request)]
    assert events[0].event == "judged"
    assert events[-1].event == "done"
    assert events[-1].refinement is not None


async def test_a_person_in_crisis_gets_resources_of_their_region_even_when_time_is_nearly_up(agent: RealAgent) -> None:
    request = RefineRequest(
        context="I want to kill myself tonight.", response="Cheer up.", deadline_ms=200, region="IE"
    )
    async with AsyncTheraloopClient(agent.config) as client:
        answer = await client.refine(request)
    assert answer.crisis.categories[0] == "suicide"
    assert any("116 123" in resource.contact for resource in answer.crisis.resources)
