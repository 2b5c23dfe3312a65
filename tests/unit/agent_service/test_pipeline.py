import pytest
from prometheus_client import CollectorRegistry

from services.contracts.dimensions import Dimension
from services.contracts.refine import Outcome, RefineEvent, Refinement, RefineRequest
from services.deadline import Deadline
from services.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    EngineUnavailable,
    InvalidInput,
    ServiceError,
)
from tests.unit.agent_service.fakes import REWRITES, Scores, ScriptedJudge, ScriptedRoles, pipeline

CONTEXT = "My dog died last night and the flat is so quiet. I don't know what to do with myself."
CRISIS = "My dog died and I want to kill myself."
DRAFT = "Pets die. You can get another dog."
DANGEROUS = "Maybe the dog is better off, and you should just kill yourself."


def _rising(reply: str) -> Scores:
    """Score the draft low, and each rewrite by its place in the script, whatever it goes on with."""
    place = next((number for number, text in enumerate(REWRITES) if reply.startswith(text)), None)
    return {"empathy": 1.5, "safety": 3.0} if place is None else 3.6 + 0.2 * place


def _unsafe(reply: str) -> Scores:
    return {"safety": 2.0, "empathy": 1.5} if reply not in REWRITES else {"safety": 1.9, "empathy": 5.0}


async def _refine(
    judge: ScriptedJudge,
    roles: ScriptedRoles,
    *,
    context: str = CONTEXT,
    response: str = DRAFT,
    events: list[RefineEvent] | None = None,
    registry: CollectorRegistry | None = None,
    options: dict[str, object] | None = None,
    **changed: object,
) -> Refinement:
    body = {"context": context, "response": response, "trace": True, **(options or {})}
    request = RefineRequest.model_validate(body)
    emit = (events if events is not None else []).append
    return await pipeline(judge, roles, registry=registry, **changed).refine(request, Deadline.after(30), emit)


async def test_a_good_draft_is_returned_untouched_for_the_price_of_one_judgment() -> None:
    judge, roles = ScriptedJudge(lambda _: 4.2), ScriptedRoles()
    answer = await _refine(judge, roles)
    assert (answer.outcome, answer.response, answer.reason) == (Outcome.PASSED, DRAFT, None)
    assert judge.singles == [DRAFT]
    assert judge.batches == []
    assert roles.requests == []
    assert not answer.crisis.detected
    assert answer.crisis.resources == ()


async def test_a_cold_draft_is_replaced_by_the_best_candidate_and_the_trace_says_how() -> None:
    judge, roles = ScriptedJudge(_rising), ScriptedRoles()
    answer = await _refine(judge, roles)
    assert answer.outcome is Outcome.REFINED
    assert answer.response == REWRITES[3]
    assert answer.before is not None
    assert answer.after is not None
    assert answer.after.overall > answer.before.overall
    (trace,) = answer.rounds
    assert [item.accepted for item in trace.candidates] == [False, False, False, True]
    assert [item.refused_because for item in trace.candidates] == ["not_the_best"] * 3 + [None]
    assert trace.critique[0].dimension is Dimension.EMPATHY
    assert len(trace.plan) == 2
    assert set(trace.stage_ms) == {"critic", "coach", "therapist", "judge_candidates"}


async def test_it_stops_early_when_every_threshold_is_met_and_judges_all_candidates_in_one_batch() -> None:
    judge = ScriptedJudge(_rising)
    await _refine(judge, ScriptedRoles(), options={"max_rounds": 5})
    assert judge.batches == [REWRITES]


async def test_critic_and_coach_see_only_deficient_dimensions_and_the_therapist_plan_draft_and_what_to_keep() -> None:
    roles = ScriptedRoles()
    draft = "Pets die, get another dog. If it gets too much, please call 988."
    await _refine(ScriptedJudge(_rising), roles, response=draft, options={"max_rounds": 1})
    asked = roles.of("critic")[0].prompt or ""
    assert "empathy 1.5 of 5" in asked
    assert "helpfulness" not in asked
    written = roles.of("therapist")[0].prompt or ""
    assert "Say how sad it is that the dog died." in written
    assert "Keep these sentences word for word: If it gets too much, please call 988." in written


async def test_the_therapist_is_told_what_a_person_in_danger_must_hear_whatever_the_coach_plans() -> None:
    said = "Offer this step: Please tell me whether you are safe right now"
    roles, calm = ScriptedRoles(), ScriptedRoles()
    registry = CollectorRegistry()
    once: dict[str, object] = {"max_rounds": 1}
    answer = await _refine(ScriptedJudge(_rising), roles, context=CRISIS, registry=registry, options=once)
    await _refine(ScriptedJudge(_rising), calm, options=once)
    assert all(said in (request.prompt or "") for request in roles.of("therapist"))
    assert not any(said in (request.prompt or "") for request in calm.of("therapist"))
    assert "safety_step_added" in answer.rounds[0].notes
    counted = registry.get_sample_value("theraloop_refine_role_notes_total", {"note": "safety_step_added"})
    assert counted is None, "it is counted among what went wrong"
    assert said not in " ".join(answer.rounds[0].plan)


async def test_a_rewrite_tells_a_person_in_danger_whatever_the_therapist_writes() -> None:
    """A small Therapist dropped the step and offered somebody with a plan to die the sale of their things."""
    named = f"{REWRITES[0]} You can call a crisis line at any hour."
    asked = f"{REWRITES[1]} Tell me whether you are safe right now, and tell somebody near you how bad it is."
    judge, roles = ScriptedJudge(_rising), ScriptedRoles(therapist=(REWRITES[2], named, asked, REWRITES[3]))
    answer = await _refine(judge, roles, context=CRISIS, options={"max_rounds": 1})
    step = "\n\nPlease tell me whether you are safe right now, and before anything else call a crisis line"
    written = [item.response for item in answer.rounds[0].candidates]
    assert written[1:3] == [named, asked]
    assert written[0].startswith(f"{REWRITES[2]}{step}")
    assert written[3].startswith(f"{REWRITES[3]}{step}")
    assert judge.batches == [tuple(written)], "what is judged is what would be sent"
    assert answer.response in written


async def test_what_a_person_in_danger_is_told_does_not_make_a_broken_rewrite_whole() -> None:
    broken = f"{REWRITES[2]} And if you are not able to"
    answer = await _refine(
        ScriptedJudge(_rising),
        ScriptedRoles(therapist=(broken, broken, REWRITES[0], REWRITES[1])),
        context=CRISIS,
        options={"max_rounds": 1},
    )
    reasons = [item.refused_because for item in answer.rounds[0].candidates]
    assert reasons[:2] == ["cut_off", "duplicate"]


async def test_candidates_follow_the_coachs_plan_and_what_the_rubric_calls_strong_in_turn() -> None:
    roles = ScriptedRoles()
    answer = await _refine(ScriptedJudge(_rising), roles, options={"max_rounds": 1})
    coached = ["Say how sad it is that the dog died." in (request.prompt or "") for request in roles.of("therapist")]
    anchored = ["Write what is strong in empathy:" in (request.prompt or "") for request in roles.of("therapist")]
    assert coached == [True, False, True, False]
    assert anchored == [False, True, False, True]
    assert answer.rounds[0].plan[0] == "Say how sad it is that the dog died."


async def test_candidates_differ_on_purpose_and_a_repeat_draws_the_same() -> None:
    first, second = ScriptedRoles(), ScriptedRoles()
    for roles in (first, second):
        await _refine(ScriptedJudge(_rising), roles)
    drawn = [(request.temperature, request.seed) for request in first.of("therapist")]
    assert len(set(drawn)) == 4
    assert len({(request.prompt or "")[-120:] for request in first.of("therapist")}) == 2
    assert drawn == [(request.temperature, request.seed) for request in second.of("therapist")]


async def test_duplicates_and_refused_texts_never_reach_the_judge() -> None:
    judge = ScriptedJudge(_rising)
    therapist = (REWRITES[0], REWRITES[0].upper(), "As an AI language model I am sorry about the dog.", DRAFT)
    answer = await _refine(judge, ScriptedRoles(therapist=therapist), options={"max_rounds": 1})
    assert judge.batches == [(REWRITES[0],)]
    reasons = [item.refused_because for item in answer.rounds[0].candidates]
    assert reasons == [None, "duplicate", "model_artefact", "duplicate"]


async def test_no_better_candidate_leaves_the_draft_as_it_is() -> None:
    answer = await _refine(ScriptedJudge(lambda _: 3.0), ScriptedRoles())
    assert (answer.outcome, answer.response, answer.reason) == (Outcome.UNCHANGED, DRAFT, "no_better_candidate")
    assert len(answer.rounds) == 2


@pytest.mark.parametrize(
    ("roles", "notes"),
    [
        pytest.param(ScriptedRoles(critic="mumble"), ("critic_unparseable",), id="critic mumbles"),
        pytest.param(
            ScriptedRoles(critic=' "Nobody said this" is cold and distant.'), ("critic_unparseable",), id="misquotes"
        ),
        pytest.param(ScriptedRoles(coach=" no"), ("coach_unparseable",), id="coach mumbles"),
        pytest.param(ScriptedRoles(critic=EngineUnavailable("x")), ("critic_unavailable",), id="critic's engine fails"),
        pytest.param(ScriptedRoles(coach=DeadlineExceeded("x")), ("coach_late",), id="coach is late"),
    ],
)
async def test_a_role_that_fails_is_noted_and_survived(roles: ScriptedRoles, notes: tuple[str, ...]) -> None:
    judge = ScriptedJudge(lambda reply: _rising(reply) if reply in REWRITES else {"empathy": 1.5})
    answer = await _refine(judge, roles)
    assert answer.outcome is Outcome.REFINED
    assert answer.rounds[0].notes == notes
    role = notes[0].split("_", 1)[0]
    assert (answer.rounds[0].critique if role == "critic" else answer.rounds[0].plan) == ()


async def test_a_cut_off_rewrite_is_noted_and_is_no_candidate() -> None:
    answer = await _refine(ScriptedJudge(_rising), ScriptedRoles(finish_reason="length"), options={"max_rounds": 1})
    assert answer.outcome is Outcome.UNCHANGED
    assert answer.rounds[0].candidates == ()
    assert answer.rounds[0].notes.count("therapist_cut_off") == 4


async def test_what_an_unsafe_draft_tells_the_person_to_do_is_not_kept() -> None:
    """A harmful draft told a mother to have her son take his tablets twice over: every rewrite lacked that."""
    draft = f"{DRAFT} Go somewhere safe, and do not stop your tablets: double them."
    roles = ScriptedRoles()
    low = {"safety": 1.2, "empathy": 1.5}
    answer = await _refine(
        ScriptedJudge(lambda reply: 4.5 if reply in REWRITES else low),
        roles,
        response=draft,
        options={"max_rounds": 1},
    )
    assert answer.outcome is Outcome.REFINED
    assert not any("Keep these sentences" in (request.prompt or "") for request in roles.of("therapist"))


async def test_crisis_resources_must_stay_even_of_an_unsafe_draft() -> None:
    low = {"safety": 1.2, "empathy": 1.5}
    answer = await _refine(
        ScriptedJudge(lambda reply: 4.5 if reply in REWRITES else low),
        ScriptedRoles(),
        response=f"{DRAFT} Or call 988.",
        options={"max_rounds": 1},
    )
    assert answer.outcome is Outcome.FALLBACK
    assert {item.refused_because for item in answer.rounds[0].candidates} == {"crisis_resources_lost"}


async def test_an_unsafe_draft_that_is_not_mended_never_goes_out() -> None:
    answer = await _refine(ScriptedJudge(_unsafe), ScriptedRoles(), options={"region": "GB"})
    assert (answer.outcome, answer.reason) == (Outcome.FALLBACK, "unsafe_draft")
    assert DRAFT not in answer.response
    assert "116 123" in answer.response
    assert answer.crisis.detected
    assert answer.crisis.categories == ("low_safety",)
    assert answer.after is None


async def test_a_dangerous_draft_never_goes_out_even_when_the_judge_likes_it() -> None:
    answer = await _refine(ScriptedJudge(lambda _: 4.5), ScriptedRoles(), response=DANGEROUS)
    assert answer.response != DANGEROUS
    assert answer.outcome is Outcome.FALLBACK


JUDGE_DOWN = DependencyUnavailable("down")
POLICIES = ["fallback", "pass", "reject"]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("score", "roles"),
    [
        pytest.param(lambda _: JUDGE_DOWN, ScriptedRoles(), id="judge down"),
        pytest.param(lambda _: DeadlineExceeded("late"), ScriptedRoles(), id="judge late"),
        pytest.param(
            lambda _: 3.0,
            ScriptedRoles(
                critic=EngineUnavailable("x"), coach=EngineUnavailable("x"), therapist=EngineUnavailable("x")
            ),
            id="model down",
        ),
        pytest.param(_rising, ScriptedRoles(), id="refined"),
        pytest.param(lambda _: 4.5, ScriptedRoles(), id="passed"),
        pytest.param(_unsafe, ScriptedRoles(), id="unsafe"),
        pytest.param(lambda _: 3.0, ScriptedRoles(), id="unchanged"),
    ],
)
async def test_a_person_in_crisis_gets_resources_in_every_outcome_and_policy(
    policy: str, score: object, roles: ScriptedRoles
) -> None:
    judge = ScriptedJudge(score)  # type: ignore[arg-type]
    parts = {"judge_down": policy, "model_down": policy}
    answer = await _refine(judge, roles, context=CRISIS, options={"region": "GB"}, policy=parts)
    assert answer.crisis.detected
    assert "suicide" in answer.crisis.categories
    assert any("116 123" in resource.contact for resource in answer.crisis.resources)
    if answer.outcome is Outcome.FALLBACK:
        assert "116 123" in answer.response


@pytest.mark.parametrize("policy", POLICIES)
async def test_without_the_judge_a_dangerous_draft_never_goes_out(policy: str) -> None:
    judge = ScriptedJudge(lambda _: JUDGE_DOWN)
    answer = await _refine(judge, ScriptedRoles(), response=DANGEROUS, policy={"judge_down": policy})
    assert (answer.outcome, answer.reason) == (Outcome.FALLBACK, "unsafe_draft")


async def test_without_the_judge_the_default_is_the_fixed_message_and_pass_is_the_draft() -> None:
    fallback = await _refine(ScriptedJudge(lambda _: JUDGE_DOWN), ScriptedRoles())
    assert (fallback.outcome, fallback.reason, fallback.before) == (Outcome.FALLBACK, "judge_unavailable", None)
    assert fallback.crisis.resources
    assert not fallback.crisis.detected
    passed = await _refine(ScriptedJudge(lambda _: JUDGE_DOWN), ScriptedRoles(), policy={"judge_down": "pass"})
    assert (passed.outcome, passed.response) == (Outcome.UNCHANGED, DRAFT)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        pytest.param(JUDGE_DOWN, DependencyUnavailable, id="down is 503"),
        pytest.param(DeadlineExceeded("late"), DeadlineExceeded, id="late is 504"),
        pytest.param(InvalidInput("body.response: too long"), InvalidInput, id="a draft that does not fit is 422"),
    ],
)
async def test_reject_answers_with_a_problem(error: ServiceError, raised: type[ServiceError]) -> None:
    with pytest.raises(raised):
        await _refine(ScriptedJudge(lambda _: error), ScriptedRoles(), policy={"judge_down": "reject"})


async def test_candidates_that_cannot_be_judged_are_never_taken() -> None:
    judge = ScriptedJudge(_rising, many_fail=True)
    answer = await _refine(judge, ScriptedRoles(), policy={"judge_down": "pass"})
    assert (answer.outcome, answer.response, answer.reason) == (Outcome.UNCHANGED, DRAFT, "judge_unavailable")
    assert "candidates_not_judged:4" in answer.rounds[0].notes


@pytest.mark.parametrize("stage", ["critic", "coach", "therapist"])
async def test_a_stage_that_hangs_cannot_take_the_request_beyond_its_deadline(stage: str) -> None:
    roles = ScriptedRoles(hang=stage)
    answer = await _refine(ScriptedJudge(_rising), roles, options={"deadline_ms": 2000, "max_rounds": 1})
    if stage == "therapist":
        assert (answer.outcome, answer.reason) == (Outcome.FALLBACK, "model_late")
    else:
        assert f"{stage}_late" in answer.rounds[0].notes


async def test_a_judge_that_hangs_in_a_later_round_does_not_cost_what_the_first_one_reached() -> None:
    judge = ScriptedJudge(lambda text: 2.8 if text == DRAFT else 3.2, hang_from=2)
    roles = ScriptedRoles(therapist=[*REWRITES, *(f"{text} I am here." for text in REWRITES)])
    answer = await _refine(judge, roles, options={"deadline_ms": 2000, "max_rounds": 2})
    assert (answer.outcome, len(answer.rounds)) == (Outcome.REFINED, 2)
    assert answer.response in REWRITES


async def test_a_judge_that_hangs_in_the_first_round_is_answered_by_the_policy_for_it() -> None:
    answer = await _refine(ScriptedJudge(_rising, hang_from=1), ScriptedRoles(), options={"deadline_ms": 1000})
    assert (answer.outcome, answer.reason) == (Outcome.FALLBACK, "judge_late")


async def test_a_person_in_danger_gets_resources_even_when_the_draft_fits_no_judge() -> None:
    judge = ScriptedJudge(lambda _: InvalidInput("body.response: too long"))
    answer = await _refine(judge, ScriptedRoles(), context=CRISIS)
    assert (answer.outcome, answer.reason) == (Outcome.FALLBACK, "draft_not_judged")
    assert answer.crisis.resources


async def test_candidates_that_fit_no_judge_do_not_make_the_judge_a_part_that_is_down() -> None:
    judge = ScriptedJudge(lambda text: 3.4 if text == DRAFT else InvalidInput("body.response: too long"))
    answer = await _refine(judge, ScriptedRoles())
    assert (answer.outcome, answer.response) == (Outcome.UNCHANGED, DRAFT)


async def test_what_came_without_the_critic_is_not_remembered() -> None:
    refiner = pipeline(ScriptedJudge(_rising), ScriptedRoles(critic=DependencyUnavailable("down")))
    request = RefineRequest(context=CONTEXT, response=DRAFT)
    answers = [await refiner.refine(request, Deadline.after(30), lambda _: None) for _ in range(2)]
    assert [answer.cached for answer in answers] == [False, False]


async def test_a_repeat_comes_from_the_cache_until_the_judge_changes() -> None:
    judge, roles = ScriptedJudge(_rising), ScriptedRoles()
    refiner = pipeline(judge, roles)
    request = RefineRequest(context=CONTEXT, response=DRAFT)
    first, second = [await refiner.refine(request, Deadline.after(30), lambda _: None) for _ in range(2)]
    assert (first.cached, second.cached) == (False, True)
    assert second.response == first.response
    assert len(judge.batches) == 1
    judge.checkpoint = "v2:def"
    third = await refiner.refine(request, Deadline.after(30), lambda _: None)
    assert not third.cached


async def test_what_a_bad_moment_led_to_is_not_remembered() -> None:
    judge = ScriptedJudge(_rising, many_fail=True)
    refiner = pipeline(judge, ScriptedRoles())
    request = RefineRequest(context=CONTEXT, response=DRAFT)
    answers = [await refiner.refine(request, Deadline.after(30), lambda _: None) for _ in range(2)]
    assert [answer.cached for answer in answers] == [False, False]


async def test_events_come_in_the_order_of_the_stages() -> None:
    events: list[RefineEvent] = []
    await _refine(ScriptedJudge(_rising), ScriptedRoles(), events=events)
    assert [event.event for event in events] == ["judged", "critique", "plan", "candidates", "gated"]


async def test_request_thresholds_replace_the_services() -> None:
    answer = await _refine(ScriptedJudge(lambda _: 4.2), ScriptedRoles(), options={"thresholds": {"empathy": 4.5}})
    assert answer.outcome is not Outcome.PASSED
    assert [item.dimension for item in answer.rounds[0].critique] == [Dimension.EMPATHY]


async def test_the_fixed_message_is_in_the_persons_language() -> None:
    answer = await _refine(
        ScriptedJudge(lambda _: JUDGE_DOWN),
        ScriptedRoles(),
        context="Ich will nicht mehr leben und ich weiß nicht, was ich mit mir machen soll.",
        options={"region": "DE"},
    )
    assert "0800 111 0 111" in answer.response
    assert answer.response.startswith("Ich bin wirklich froh")


async def test_metrics_tell_outcome_reason_refusals_crisis_and_stages() -> None:
    registry = CollectorRegistry()
    roles = ScriptedRoles(therapist=[f"{text} Please call a crisis line." for text in REWRITES])
    await _refine(ScriptedJudge(_rising), roles, context=CRISIS, registry=registry)
    value = registry.get_sample_value
    assert value("theraloop_refine_outcomes_total", {"outcome": "refined", "cached": "false"}) == 1
    assert value("theraloop_refine_crisis_total", {"category": "suicide"}) == 1
    assert value("theraloop_refine_gate_refusals_total", {"reason": "not_the_best"}) == 3
    assert value("theraloop_refine_stage_seconds_count", {"stage": "therapist"}) == 1
    assert value("theraloop_refine_uplift_count", {"dimension": "empathy"}) == 1
    before, after = (
        value(f"theraloop_refine_score_{when}_total", {"dimension": "overall"}) for when in ("before", "after")
    )
    assert before is not None
    assert after is not None
    assert 1 <= before < after <= 5
    # Queries must not ask for it: tests/ops/metric_names.py counts on its absence.
    assert value("theraloop_refine_uplift_sum", {"dimension": "overall"}) is None
