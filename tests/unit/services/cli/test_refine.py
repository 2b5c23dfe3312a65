"""`theraloop refine`: what is sent, and how an outcome, a trace and a crisis look."""

import json

import pytest

from services.contracts.refine import Outcome, RefineEvent, Refinement
from tests.support.canned_answers import problem, refine_events, refinement, sse, stream_answer
from tests.unit.services.cli.conftest import Ended, Run

EVENTS = "text/event-stream"


def _refine(run: Run, final: Refinement, *arguments: str) -> Ended:
    return run(
        "refine",
        "Get another",
        "-c",
        "My dog died",
        *arguments,
        answers=(stream_answer(sse(refine_events(final)), EVENTS),),
    )


def test_before_after_and_change_are_shown(run: Run) -> None:
    ended = _refine(run, refinement())
    assert ended.code == 0
    for text in ("Get another", "He was family.", "refined:", "1.50", "4.00", "+2.50", "-0.25", "overall", "v1-abc"):
        assert text in ended.out
    assert "\x1b" not in ended.out


def test_crisis_resources_are_always_shown(run: Run) -> None:
    ended = _refine(run, refinement())
    assert "may be in danger (suicide)" in ended.out
    assert "Helpline: call 116 123 (day and night)" in ended.out


def test_the_trace_shows_every_step_and_refusal(run: Run) -> None:
    ended = _refine(run, refinement(), "--trace")
    shown = ("Round 1", "critic 1.2 s", "empathy: It dismisses the loss.", "1. Name the grief first.", "accepted")
    for text in (*shown, "not judged, refused: dismissive", "Cheer up.", "critic unparseable"):
        assert text in ended.out


@pytest.mark.parametrize("outcome", list(Outcome), ids=str)
def test_every_outcome_is_said_in_words(run: Run, outcome: Outcome) -> None:
    final = refinement(outcome).model_copy(update={"reason": "the judge was late", "rounds": ()})
    events = (RefineEvent(event="done", refinement=final),)
    ended = run("refine", "b", "-c", "a", answers=(stream_answer(sse(events), EVENTS),))
    assert f"{outcome}: " in ended.out
    assert "reason: the judge was late" in ended.out


def test_an_unjudged_draft_and_an_unjudged_fallback_are_said_to_be_so(run: Run) -> None:
    fallback = refinement(Outcome.FALLBACK).model_copy(update={"after": None, "rounds": ()})
    events = (RefineEvent(event="done", refinement=fallback),)
    assert "not judged" in run("refine", "b", "-c", "a", answers=(stream_answer(sse(events), EVENTS),)).out
    unjudged = (RefineEvent(event="done", refinement=fallback.model_copy(update={"before": None})),)
    assert "judge could not" in run("refine", "b", "-c", "a", answers=(stream_answer(sse(unjudged), EVENTS),)).out


def test_json_is_the_refinement(run: Run) -> None:
    assert Refinement.model_validate_json(_refine(run, refinement(), "--json").out) == refinement()


def test_options_travel_and_the_rest_is_left_to_the_defaults(run: Run) -> None:
    ended = _refine(run, refinement(), "--max-rounds", "3", "--candidates", "2", "--region", "GB", "--trace")
    sent = json.loads(ended.script.requests[0].content)
    assert sent == {
        "context": "My dog died",
        "response": "Get another",
        "max_rounds": 3,
        "candidates": 2,
        "deadline_ms": 20_000,
        "thresholds": None,
        "region": "GB",
        "trace": True,
    }


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [("--max-rounds", "9", "max_rounds"), ("--region", "uk", "region"), ("--deadline-ms", "1", "deadline_ms")],
)
def test_values_out_of_bounds_are_refused_before_anything_is_sent(
    run: Run, option: str, value: str, field: str
) -> None:
    ended = run("refine", "b", "-c", "a", option, value)
    assert (ended.code, ended.script.requests) == (2, [])
    assert ended.err.startswith(f"error: {field}: ")


def test_a_problem_in_the_stream_ends_the_command(run: Run) -> None:
    told = problem(503, "engine-unavailable", retryable=True)
    event = f'event: problem\ndata: {{"event": "problem", "problem": {told.model_dump_json()}}}\n\n'
    ended = run("refine", "b", "-c", "a", answers=(stream_answer(event.encode(), EVENTS),))
    assert (ended.code, ended.out) == (5, "")
