"""`theraloop evaluate`: what is sent for which input, and what is shown."""

import json
from pathlib import Path

import httpx
import pytest

from services.contracts.dimensions import DIMENSIONS, Dimension
from services.contracts.evaluate import BatchLine, Evaluation
from tests.support.canned_answers import evaluation, json_answer, ndjson, problem, stream_answer
from tests.unit.services.cli.conftest import Ended, Run


def _sent(ended: Ended) -> object:
    (request,) = ended.script.requests
    return json.loads(request.content)


def test_the_table_shows_all_scores_and_what_to_mind(run: Run) -> None:
    judged = evaluation({Dimension.EMPATHY: 1.25}).model_copy(
        update={
            "checkpoint": "base:0123",
            "needs_human_review": True,
            "truncated": True,
            "cached": True,
            "rationale": "Cold.",
        }
    )
    ended = run("evaluate", "Get another", "-c", "My dog died", answers=(json_answer(judged),))
    assert ended.code == 0
    for text in (*DIMENSIONS, "1.25", "1.0 to 2.2", "below", "overall", "2.75", "base:0123", "untrained", "Cold."):
        assert text in ended.out
    assert "a person should look" in ended.out
    assert "oldest turns were left out" in ended.out
    assert "\x1b" not in ended.out


def test_json_is_the_answer_as_the_api_gives_it(run: Run) -> None:
    ended = run("evaluate", "Get another", "-c", "My dog died", "--json", answers=(json_answer(evaluation()),))
    assert Evaluation.model_validate_json(ended.out) == evaluation()


def test_control_characters_of_a_rationale_do_not_reach_the_terminal(run: Run) -> None:
    judged = evaluation().model_copy(update={"rationale": "a\x1b]0;owned\x07b [red]c[/red]"})
    ended = run("evaluate", "b", "-c", "a", "--rationale", answers=(json_answer(judged),))
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out
    assert "[red]c[/red]" in ended.out


_REQUEST = {"context": "I failed", "response": "Tell me more", "rationale": False}
_TURNS = [{"role": "user", "content": "I failed"}, {"role": "assistant", "content": "What?"}]


@pytest.mark.parametrize(
    ("arguments", "stdin", "sent"),
    [
        pytest.param(["Tell me more", "-c", "I failed"], None, _REQUEST, id="arguments"),
        pytest.param(["-c", "I failed"], "Tell me more\n", _REQUEST, id="reply on standard input"),
        pytest.param([], json.dumps(_REQUEST), _REQUEST, id="request on standard input"),
        pytest.param(["-c", "I failed"], '{"a": 1}', {**_REQUEST, "response": '{"a": 1}'}, id="a reply that is JSON"),
        pytest.param(
            ["--response-file", "reply.txt", "--context-file", "context.txt"], None, _REQUEST, id="both from files"
        ),
        pytest.param(["--response-file", "-", "-c", "I failed"], "Tell me more", _REQUEST, id="reply from -"),
        pytest.param(
            ["Tell me more", "-c", json.dumps(_TURNS)], None, {**_REQUEST, "context": _TURNS}, id="turns as JSON"
        ),
        pytest.param(
            ["x", "-c", "[sighs] I"], None, {**_REQUEST, "context": "[sighs] I", "response": "x"}, id="no turns"
        ),
        pytest.param(
            ["Tell me more", "-c", "I failed", "--rationale"], None, {**_REQUEST, "rationale": True}, id="rationale"
        ),
    ],
)
def test_every_way_to_give_the_texts(
    run: Run,
    arguments: list[str],
    stdin: str | None,
    sent: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reply.txt").write_text("Tell me more\n", encoding="utf-8")
    Path("context.txt").write_text("\ufeffI failed\n", encoding="utf-8")
    ended = run("evaluate", *arguments, stdin=stdin, answers=(json_answer(evaluation()),))
    assert (ended.code, ended.err) == (0, "")
    assert _sent(ended) == sent


@pytest.mark.parametrize(
    ("arguments", "stdin", "mend"),
    [
        pytest.param(["b"], None, "--context", id="no context"),
        pytest.param(["-c", "a"], None, "standard input", id="no reply"),
        pytest.param(["", "-c", "a"], None, "response: is empty", id="empty reply"),
        pytest.param(["b", "-c", " "], None, "context: is empty", id="blank context"),
        pytest.param(["b", "-c", "a\0"], None, "context: contains a NUL", id="NUL"),
        pytest.param(["b\udc80", "-c", "a"], None, "response: ", id="bytes that are no text"),
        pytest.param(["b", "-c", "a", "--response-file", "x"], None, "give one", id="reply twice"),
        pytest.param(["-c", "a"], '{"context": "b", "response": "c"}', "given twice", id="context twice"),
        pytest.param(["-c", "a", "--response-file", "nowhere"], None, "cannot read nowhere", id="no such file"),
        pytest.param(["-c", "a", "--response-file", "binary"], None, "not UTF-8", id="no text file"),
        pytest.param(["-c", "a", "--response-file", "."], None, "cannot read", id="a folder"),
        pytest.param([], '{"context": "a", "response": "b", "score": 5}', "score", id="unknown field"),
        pytest.param(["--batch", "nowhere"], None, "cannot read nowhere", id="no batch file"),
        pytest.param(["--batch", "-"], "\n", "holds no items", id="empty batch"),
        pytest.param(["--batch", "-"], '{"a": 1}\n[1]\n', "line 2", id="a line that is no object"),
        pytest.param(["b", "--batch", "-"], "{}", "--batch", id="batch and a reply"),
        pytest.param(["--frob"], None, "--frob", id="unknown option"),
    ],
)
def test_what_makes_no_request_is_one_line_and_nothing_is_sent(
    run: Run, arguments: list[str], stdin: str | None, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("binary").write_bytes(b"\xff\xfe\x00")
    ended = run("evaluate", *arguments, stdin=stdin)
    assert ended.code == 2
    assert ended.out == ""
    assert mend in ended.err
    assert ended.err.count("\n") == 1
    assert ended.script.requests == []


def test_a_batch_keeps_the_items_places_across_groups(run: Run) -> None:
    items = "\n".join(json.dumps({"context": "a", "response": f"\u2028{number}"}) for number in range(300))
    answers = tuple(
        stream_answer(
            ndjson(tuple(BatchLine(index=index, evaluation=evaluation()) for index in reversed(range(count)))),
            "application/x-ndjson",
        )
        for count in (256, 44)
    )
    ended = run("evaluate", "--batch", "-", stdin=items, answers=answers)
    lines = [BatchLine.model_validate_json(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert sorted(line.index for line in lines) == list(range(300))
    assert [len(json.loads(sent.content)["items"]) for sent in ended.script.requests] == [256, 44]


def test_long_items_are_sent_in_groups_that_the_judge_accepts(run: Run) -> None:
    items = "\n".join(json.dumps({"context": "a", "response": "b" * 100_000}) for _ in range(12))

    def answer(count: int) -> httpx.Response:
        lines = tuple(BatchLine(index=index, evaluation=evaluation()) for index in range(count))
        return stream_answer(ndjson(lines), "application/x-ndjson")

    ended = run("evaluate", "--batch", "-", stdin=items, answers=(answer(5), answer(5), answer(2)))
    assert ended.code == 0
    assert all(len(sent.content) < 1024 * 1024 for sent in ended.script.requests)


def test_an_item_that_was_not_judged_shows_in_the_exit_code(run: Run) -> None:
    lines = (BatchLine(index=0, problem=problem(422, "invalid-input")), BatchLine(index=1, evaluation=evaluation()))
    ended = run(
        "evaluate", "--batch", "-", stdin="{}\n{}", answers=(stream_answer(ndjson(lines), "application/x-ndjson"),)
    )
    assert ended.code == 7
    assert "1 of 2" in ended.err
    assert len(ended.out.splitlines()) == 2
