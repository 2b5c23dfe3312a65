import math
from dataclasses import replace

import pytest

from judge_service.batch import judge_batch
from judge_service.served import ServedJudge
from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import BatchLine, EvaluateRequest
from services.contracts.problem import Problem
from services.deadline import Deadline
from services.errors import DeadlineExceeded, EngineMalformed, EngineUnavailable, InvalidInput
from services.llm.port import CompletionRequest, CompletionResult
from tests.support.scripted_llm import ScriptedLLM, answer_of, verdict
from tests.unit.judge_service.conftest import WINDOW_TOKENS, PipelineOf

pytestmark = pytest.mark.anyio

LEVELS = (1, 2, 3, 4, 5, 4, 3)
REQUEST = EvaluateRequest(context="I failed again.", response="What happened?")


def _soon() -> Deadline:
    return Deadline.after(30.0)


async def test_scores_follow_the_engines_digits_in_the_rubrics_order(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    level_ids = served.renderer.tokenizer.level_ids
    llm = ScriptedLLM(lambda _: verdict(LEVELS, level_ids))
    evaluation = await pipeline_of(llm).evaluate(REQUEST, _soon())
    assert tuple(evaluation.scores[name].level for name in DIMENSIONS) == LEVELS
    assert evaluation.checkpoint == served.label
    assert evaluation.rationale is None
    request = llm.requests[0]
    assert request.allowed_token_ids == level_ids
    assert (request.max_tokens, request.logprobs, request.temperature) == (7, 5, 0.0)


async def test_same_input_is_answered_from_the_cache_and_another_is_not(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    llm = ScriptedLLM(lambda _: verdict(LEVELS, served.renderer.tokenizer.level_ids))
    pipeline = pipeline_of(llm)
    first = await pipeline.evaluate(REQUEST, _soon())
    again = await pipeline.evaluate(REQUEST, _soon())
    turns = (Turn(role="assistant", content="I failed again."),)
    other = await pipeline.evaluate(REQUEST.model_copy(update={"context": turns}), _soon())
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert again.scores == first.scores
    assert len(llm.requests) == 2


async def test_rationale_is_written_after_the_scores_by_the_base_model(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    tokenizer = served.renderer.tokenizer

    def answer(request: CompletionRequest) -> CompletionResult:
        return verdict(LEVELS, tokenizer.level_ids) if request.kind == "verdict" else answer_of(" It asks. ")

    llm = ScriptedLLM(answer)
    evaluation = await pipeline_of(llm).evaluate(REQUEST.model_copy(update={"rationale": True}), _soon())
    assert evaluation.rationale == "It asks."
    assert llm.requests[1].model == served.base_model
    assert "Scores: 1234543\nRationale" in tokenizer.decode(llm.requests[1].prompt_ids or ())


WITH_RATIONALE = REQUEST.model_copy(update={"rationale": True})


async def test_rationale_of_a_long_conversation_leaves_old_turns_out_and_keeps_the_scores(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    level_ids = served.renderer.tokenizer.level_ids
    llm = ScriptedLLM(lambda r: verdict(LEVELS, level_ids) if r.kind == "verdict" else answer_of("It asks."))
    turns = tuple(Turn(role="user", content=f"Night {number} without sleep. " * 20) for number in range(40))
    evaluation = await pipeline_of(llm).evaluate(WITH_RATIONALE.model_copy(update={"context": turns}), _soon())
    assert evaluation.rationale == "It asks."
    scored, explained = (len(request.prompt_ids or ()) + request.max_tokens for request in llm.requests)
    assert WINDOW_TOKENS - 16 < scored <= WINDOW_TOKENS
    assert WINDOW_TOKENS - 16 < explained <= WINDOW_TOKENS


async def test_reply_that_leaves_no_room_for_a_rationale_gets_its_scores_without(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    tokenizer = served.renderer.tokenizer
    llm = ScriptedLLM(lambda _: verdict(LEVELS, tokenizer.level_ids))
    room = WINDOW_TOKENS - served.renderer.instruction_tokens
    per_word = len(tokenizer.encode_untrusted("ab " * 100)) / 100
    reply = "ab " * int((room - 100) / per_word)  # a hundred tokens are left: too few for a rationale
    request = WITH_RATIONALE.model_copy(update={"response": reply})
    evaluation = await pipeline_of(llm).evaluate(request, _soon())
    assert tuple(evaluation.scores[name].level for name in DIMENSIONS) == LEVELS
    assert evaluation.rationale is None
    assert [request.kind for request in llm.requests] == ["verdict"]


async def test_engine_that_fails_at_the_rationale_takes_no_scores_along_and_is_asked_again(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    failing = True

    def answer(request: CompletionRequest) -> CompletionResult:
        if request.kind == "verdict":
            return verdict(LEVELS, served.renderer.tokenizer.level_ids)
        if failing:
            raise EngineUnavailable("the engine does not answer")
        return answer_of("It asks.")

    pipeline = pipeline_of(ScriptedLLM(answer))
    first = await pipeline.evaluate(WITH_RATIONALE, _soon())
    failing = False
    again = await pipeline.evaluate(WITH_RATIONALE, _soon())
    assert (first.rationale, again.rationale) == (None, "It asks.")
    assert again.scores == first.scores


def _cut(result: CompletionResult, **change: object) -> CompletionResult:
    return replace(result, choices=(replace(result.choices[0], **change),))  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["six scores", "a word", "a level without probability", "not a number", "no choice"])
async def test_malformed_verdict_is_an_error_and_is_not_cached(
    pipeline_of: PipelineOf, served: ServedJudge, fault: str
) -> None:
    level_ids = served.renderer.tokenizer.level_ids
    good = verdict(LEVELS, level_ids)
    choice = good.choices[0]
    broken = {
        "six scores": _cut(good, token_ids=choice.token_ids[:6], top_logprobs=choice.top_logprobs[:6]),
        "a word": _cut(good, token_ids=(1, *choice.token_ids[1:])),
        "a level without probability": _cut(good, top_logprobs=({level_ids[0]: 0.0}, *choice.top_logprobs[1:])),
        "not a number": _cut(good, top_logprobs=(dict.fromkeys(level_ids, math.nan), *choice.top_logprobs[1:])),
        "no choice": replace(good, choices=()),
    }[fault]
    answers = iter((broken, good))
    pipeline = pipeline_of(ScriptedLLM(lambda _: next(answers)))
    with pytest.raises(EngineMalformed):
        await pipeline.evaluate(REQUEST, _soon())
    assert not (await pipeline.evaluate(REQUEST, _soon())).cached


async def test_engine_that_is_down_or_late_yields_its_error_not_a_score(pipeline_of: PipelineOf) -> None:
    def down(_: CompletionRequest) -> CompletionResult:
        raise EngineUnavailable("the engine does not answer")

    with pytest.raises(EngineUnavailable):
        await pipeline_of(ScriptedLLM(down)).evaluate(REQUEST, _soon())
    with pytest.raises(DeadlineExceeded):
        await pipeline_of(ScriptedLLM(down)).evaluate(REQUEST, Deadline.after(0.0))


async def test_reply_beyond_the_window_names_the_field_and_the_limit(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    llm = ScriptedLLM(lambda _: verdict(LEVELS, served.renderer.tokenizer.level_ids))
    with pytest.raises(InvalidInput, match=r"body\.response: the reply has \d+ tokens; at most \d+ fit; shorten it"):
        await pipeline_of(llm).evaluate(REQUEST.model_copy(update={"response": "ab " * 9000}), _soon())
    assert llm.requests == []


async def test_batch_answers_every_item_and_one_bad_item_spoils_nothing(
    pipeline_of: PipelineOf, served: ServedJudge
) -> None:
    level_ids = served.renderer.tokenizer.level_ids
    good = {"context": "I am low.", "response": "I hear you."}
    items: list[object] = [good | {"response": f"I hear you {n}."} for n in range(20)]
    items[3] = {"context": "I am low."}
    items[7] = "not an object"
    items[11] = good | {"response": " "}

    def problem_of(_: int, error: Exception) -> Problem:
        return Problem(
            type="urn:test", title=type(error).__name__, status=422, detail="bad", request_id="r", retryable=False
        )

    lines: dict[int, BatchLine] = {}
    pipeline = pipeline_of(ScriptedLLM(lambda _: verdict(LEVELS, level_ids)))
    async for line in judge_batch(pipeline, items, _soon(), concurrency=4, problem_of=problem_of):
        lines[line.index] = line
    assert sorted(lines) == list(range(20))
    assert [index for index in sorted(lines) if lines[index].problem is not None] == [3, 7, 11]
    assert all((line.evaluation is None) != (line.problem is None) for line in lines.values())
