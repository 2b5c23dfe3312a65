"""The evaluation: what is run, what is kept, what is counted. Roles are scripted, judges score by the reply's words."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_service.errors import DataInvalid
from agent_service.evaluate import Chosen, build_pipelines, read_drafts
from agent_service.evaluation.records import Record, read_records
from agent_service.evaluation.report import examples, summarise, write_report
from agent_service.evaluation.runner import EvaluationRunner
from agent_service.evaluation.statistics import Group, ahead, interval, row
from agent_service.evaluation.variants import Variant
from services.contracts.conversation import Turn
from services.contracts.drafts import Band, Draft
from services.contracts.refine import Outcome
from services.errors import DependencyUnavailable, ServiceError
from tests.unit.agent_service.fakes import REWRITES, Scores, ScriptedJudge, ScriptedRoles, settings

PERSON = (Turn(role="user", content="My dog died last night and the flat is so quiet. I don't know what to do."),)
COLD = "Pets die. You can get another dog."
WARM = "I'm so sorry about your dog. A quiet flat can hurt a lot. What do you miss most?"


def _draft(number: int, response: str = COLD, band: Band = Band.LOW) -> Draft:
    return Draft(id=f"d{number}", question=f"q{number % 2}", context=PERSON, response=response, rated=2.0, band=band)


def _steering(response: str) -> Scores:
    return 2.6 if response == COLD else 4.0 if response == WARM else 3.0 + 0.1 * REWRITES.index(response)


def _verdict(response: str) -> Scores:
    return {COLD: 2.0, WARM: 4.0}.get(response, 3.4)


async def _run(
    drafts: Sequence[Draft],
    path: Path,
    variants: Sequence[Variant] = (Variant.FULL,),
    *,
    roles: ScriptedRoles | None = None,
    steering: ScriptedJudge | None = None,
    verdict: ScriptedJudge | None = None,
) -> list[Record]:
    engine = roles or ScriptedRoles()
    pipelines = build_pipelines(
        settings(), variants, judge=steering or ScriptedJudge(_steering), engine=engine, listing=engine
    )
    judge = verdict or ScriptedJudge(_verdict)
    runner = EvaluationRunner(pipelines, judge, rounds=1, candidates=4, deadline_ms=60_000, clients=2)
    return await runner.run(drafts, path, lambda *_: None)


async def test_each_draft_is_kept_with_both_judges_scores(tmp_path: Path) -> None:
    records = await _run([_draft(0), _draft(1, WARM, Band.GOOD)], tmp_path / "r.jsonl")
    refined, passed = sorted(records, key=lambda record: record.draft_id)
    assert refined.outcome is Outcome.REFINED
    assert (refined.before.overall, refined.after.overall) == pytest.approx((2.0, 3.4))
    assert (refined.steered_before, refined.steered_after) == pytest.approx((2.6, 3.3))
    assert refined.response == REWRITES[3]
    assert refined.tokens == {"critic": 2, "coach": 2, "therapist": 8}
    assert passed.outcome is Outcome.PASSED
    assert passed.response == WARM
    assert passed.rounds == 0
    assert read_records(tmp_path / "r.jsonl") == records


async def test_variants_leave_out_what_they_say(tmp_path: Path) -> None:
    roles, steering = ScriptedRoles(), ScriptedJudge(_steering)
    records = await _run([_draft(0)], tmp_path / "r.jsonl", tuple(Variant), roles=roles, steering=steering)
    used = {record.variant: set(record.tokens) for record in records}
    assert used == {
        Variant.FULL: {"critic", "coach", "therapist"},
        Variant.NO_CRITIC: {"coach", "therapist"},
        Variant.NO_COACH: {"critic", "therapist"},
        Variant.BEST_OF_N: {"therapist"},
        Variant.ONE_CANDIDATE: {"critic", "coach", "therapist"},
        Variant.SELF_REFINE: {"critic", "coach", "therapist"},
    }
    written = {record.variant: record.tokens["therapist"] for record in records}
    assert written[Variant.ONE_CANDIDATE] == written[Variant.SELF_REFINE] == written[Variant.FULL] / 4
    assert next(r for r in records if r.variant is Variant.SELF_REFINE).steered_by == "unjudged"
    assert len(steering.singles) == 5


async def test_a_stopped_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await _run([_draft(0)], path)
    path.write_text(path.read_text("utf-8") + '{"cut": ', encoding="utf-8")
    roles = ScriptedRoles()
    records = await _run([_draft(0), _draft(1)], path, roles=roles)
    assert {record.draft_id for record in records} == {"d0", "d1"}
    assert len(roles.of("critic")) == 1
    assert len(read_records(path)) == 2


async def test_drafts_are_chosen_by_the_verdict_judges_own_score(tmp_path: Path) -> None:
    runner = EvaluationRunner({}, ScriptedJudge(_verdict), rounds=1, candidates=4, deadline_ms=60_000, clients=2)
    drafts = [_draft(0), _draft(1, WARM), _draft(2), _draft(3)]
    assert await Chosen(drafts, 2.0, 2).by(runner) == [drafts[0], drafts[2]]
    assert await Chosen(drafts, 1.9, None).by(runner) == []
    assert await Chosen(drafts, None, 3).by(runner) == drafts[:3]


async def test_a_verdict_judge_that_fails_ends_the_run_and_keeps_what_is_done(tmp_path: Path) -> None:
    def failing(response: str) -> Scores | ServiceError:
        return DependencyUnavailable("down") if response == WARM else _verdict(response)

    drafts = [_draft(0), *(_draft(number, WARM, Band.GOOD) for number in range(1, 3))]
    with pytest.raises(ExceptionGroup) as caught:
        await _run(drafts, tmp_path / "r.jsonl", verdict=ScriptedJudge(failing))
    assert caught.group_contains(DependencyUnavailable)


def test_a_line_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("{}\n{}\n", encoding="utf-8")
    with pytest.raises(DataInvalid, match="another --out"):
        read_records(tmp_path / "r.jsonl")


def test_a_file_without_drafts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": 1}\n', encoding="utf-8")
    with pytest.raises(DataInvalid, match="trainer drafts"):
        read_drafts([tmp_path / "d.jsonl"])


def test_a_draft_that_two_files_hold_counts_once_as_the_first_has_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text(_draft(0).model_dump_json() + "\n", encoding="utf-8")
    again = _draft(0).model_copy(update={"band": Band.MID})
    second.write_text("".join(draft.model_dump_json() + "\n" for draft in (again, _draft(1))), encoding="utf-8")
    assert read_drafts([first, second]) == [_draft(0), _draft(1)]


async def test_the_table_counts_gains_recoveries_and_harm(tmp_path: Path) -> None:
    records = await _run([*map(_draft, range(4)), _draft(4, WARM, Band.GOOD)], tmp_path / "r.jsonl")
    low, good = (row(records, Variant.FULL, group) for group in (Group.LOW_BY_RATERS, Group.GOOD_BY_RATERS))
    assert low is not None
    assert good is not None
    assert low.gain.value == pytest.approx(1.4)
    assert low.recovery.value == 1.0
    assert low.untouched.value == 0.0
    assert low.worse.value == 0.0
    assert (low.gain.n, low.gain.questions) == (4, 2)
    assert good.untouched.value == 1.0
    assert good.recovery.value is None
    assert row(records, Variant.FULL, Group.MID_BY_RATERS) is None


async def test_variants_are_compared_on_the_same_drafts(tmp_path: Path) -> None:
    variants = (Variant.FULL, Variant.SELF_REFINE)
    records = await _run([_draft(0), _draft(1)], tmp_path / "r.jsonl", variants)
    lonely = [r for r in records if r.variant is Variant.FULL or r.draft_id == "d0"]
    assert ahead(lonely, Variant.SELF_REFINE, Group.ALL).n == 1
    assert ahead(records, Variant.SELF_REFINE, Group.ALL).value == pytest.approx(0.0)


def test_intervals_draw_questions_not_drafts() -> None:
    same = interval([("a", 1.0), ("a", 0.0)] * 50)
    apart = interval([(name, value) for name, value in (("a", 1.0), ("b", 0.0)) for _ in range(50)])
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)
    assert (apart.value, apart.low, apart.high) == (0.5, 0.0, 1.0)
    assert interval([]).value is None


async def test_the_report_holds_every_figure_and_examples_by_rank(tmp_path: Path) -> None:
    hostile = Draft(
        id="x",
        question="q9",
        context=(Turn(role="user", content="My dog <script>died</script> last night."),),
        response=COLD,
        rated=2.0,
        band=Band.LOW,
    )
    records = await _run([*map(_draft, range(6)), hostile], tmp_path / "r.jsonl", tuple(Variant))
    report = write_report(records, tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "report.json").read_bytes())["drafts"] == 7
    assert report == summarise(records)
    assert all(variant in page for variant in Variant)
    assert "<script>" not in page
    assert {record.variant for record in examples(records)} == {Variant.FULL}
