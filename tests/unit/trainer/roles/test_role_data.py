"""What the roles learn from: train questions alone, in the agent's prompts, in the form that its parsers accept."""

import json

from services.contracts.dimensions import DIMENSIONS
from services.contracts.drafts import Band, Draft
from services.roles.parsing import parse_critique, parse_plan
from services.roles.prompts import Role
from tests.unit.trainer.roles.conftest import BETTER, RATER, SHORT_BETTER, SHORT_WORSE, WORSE, Inputs
from trainer.roles.data import build_examples, examples_file
from trainer.roles.drafts import write_drafts
from trainer.roles.examples import RoleExample, read_examples


def _built(inputs: Inputs, source: str = "mentalchat") -> dict[Role, list[RoleExample]]:
    folder = inputs.config.work / "data"
    shares = {"mentalchat": 100, "written": 100}
    roles = {role: run.model_copy(update={"shares": shares}) for role, run in inputs.config.roles.items()}
    build_examples(inputs.config.model_copy(update={"roles": roles}), inputs.mentalchat, None, folder)
    return {role: [e for e in read_examples(examples_file(folder, role)) if e.source == source] for role in Role}


def test_only_questions_of_the_train_part_come_in(inputs: Inputs) -> None:
    for examples in _built(inputs).values():
        assert {example.question for example in examples} == {f"mentalchat:{number}" for number in range(5)}


def test_each_target_continues_its_prompt_in_the_form_that_the_agent_reads(inputs: Inputs) -> None:
    built = _built(inputs)
    critic, coach, therapist = (built[role][0] for role in Role)
    said = parse_critique(f"- relevance:{critic.completion}", DIMENSIONS, WORSE)
    assert critic.prompt.endswith(f"- {said[0].dimension}:")
    assert any("does not reflect the worries" in item.issue for item in said)
    assert coach.prompt.endswith("Changes:\n1.")
    plan = parse_plan(f"1.{coach.completion}", 3)
    assert "Reflect the worries that the person names." in plan
    followed = [item for item in built[Role.THERAPIST] if all(step in item.prompt for step in plan)]
    assert therapist.prompt.endswith("Better reply:")
    assert {item.completion for item in followed} == {f" {BETTER}"}


def test_no_step_that_fits_one_rated_question_alone_is_in_a_plan(inputs: Inputs) -> None:
    plans = [item.completion for item in _built(inputs)[Role.COACH]]
    assert plans
    assert not any("write them down" in plan or "Open with what was heard" in plan for plan in plans)


def test_the_therapist_learns_to_follow_the_rubric_as_often_as_the_coach(inputs: Inputs) -> None:
    anchored = ["\n1. Write what is strong in " in item.prompt for item in _built(inputs)[Role.THERAPIST]]
    assert 2 * sum(anchored) == len(anchored) > 0


def test_what_was_written_for_the_roles_teaches_coach_and_therapist(inputs: Inputs) -> None:
    built = _built(inputs, "written")
    assert not built[Role.CRITIC]
    plan = parse_plan(f"1.{built[Role.COACH][0].completion}", 3)
    assert plan[0] == "Open with what was heard: I'm sorry that you failed your exam again."
    assert plan[1] == "Offer this step: It may help to talk to a friend or a teacher you trust about the exam."
    assert [item.completion for item in built[Role.THERAPIST]] == [f" {SHORT_BETTER}"] * 2
    assert all(SHORT_WORSE in item.prompt for item in built[Role.THERAPIST])


def test_what_is_left_out_is_reported_by_reason(inputs: Inputs) -> None:
    inputs = Inputs(inputs.mentalchat, inputs.config.model_copy(update={"work": inputs.config.work / "short"}))
    data = inputs.config.data.model_copy(update={"target_chars": (10, 100)})
    config = inputs.config.model_copy(update={"data": data})
    folder = config.work / "data"
    counts = build_examples(config, inputs.mentalchat, None, folder)
    report = json.loads((folder / "report.json").read_bytes())
    assert counts[Role.THERAPIST] == 0
    assert report["dropped"]["therapist"]["target_too_long"] == 6
    assert report["dropped"]["therapist"]["no_target_for_the_question"] == 6


def test_drafts_come_from_held_out_questions_in_bands(inputs: Inputs) -> None:
    out = inputs.config.work / "drafts.jsonl"
    source = inputs.config.data.mentalchat
    counts = write_drafts(source.ratings, source.split, ["test"], RATER, {Band.LOW: 5, Band.GOOD: 5}, 7, out)
    drafts = [Draft.model_validate_json(line) for line in out.read_text("utf-8").splitlines()]
    assert counts == {Band.LOW: 1, Band.MID: 0, Band.GOOD: 1}
    assert [(draft.band, draft.response) for draft in drafts] == [(Band.LOW, WORSE), (Band.GOOD, BETTER)]
