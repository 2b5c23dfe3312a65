"""Splits: whole questions, seeded, nothing shared between parts, and the record says all of it."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trainer.data.builders import case_record, pair_record, rating_record, run_import, write_jsonl
from trainer.data.identity import digest, file_sha256, normalised
from trainer.data.leakage import check_no_leak
from trainer.data.schema import read_ratings
from trainer.data.sources.authored import authored
from trainer.data.sources.ratings import ratings
from trainer.data.split_config import AuthoredSplit, QuestionSplit, load_split_config
from trainer.data.split_record import Split
from trainer.data.splits import make_split
from trainer.data.units import Row
from trainer.errors import SplitError

_BY_QUESTION = QuestionSplit(method="question", seed=1, test=4, calibration=2)
_AUTHORED = AuthoredSplit(method="authored", seed=1, held_out_kinds=1, stress_held_out=0.4, hard_held_out=0.3)


def _answers(questions: int = 12, systems: int = 5, **changed: Any) -> list[dict[str, Any] | str]:
    return [
        rating_record(
            context=f"Question number {q}?",
            response=f"Answer {q} by {s}.",
            system=f"s{s}",
            question_id=f"q{q}",
            **changed,
        )
        for q in range(questions)
        for s in range(systems)
    ]


def _imported(folder: Path, records: list[dict[str, Any] | str]) -> Path:
    run_import(ratings(write_jsonl(folder / "r.jsonl", records)), folder / "r.parquet")
    return folder / "r.parquet"


def _parts(split: Split, table: pa.Table) -> dict[str, pa.Table]:
    return {name: split.select(table, name) for name in split.parts}


def _assert_apart(parts: Mapping[str, pa.Table]) -> None:
    for one, other in combinations(parts.values(), 2):
        for column in ("split_group", "context", "response"):
            assert not set(map(normalised, one[column].to_pylist())) & set(map(normalised, other[column].to_pylist()))


def test_whole_questions_go_to_the_parts_as_many_as_configured(tmp_path: Path) -> None:
    path = _imported(tmp_path, _answers())

    split = make_split("ratings", _BY_QUESTION, [path])
    parts = _parts(split, read_ratings(path))

    assert {name: len(part.groups) for name, part in split.parts.items()} == {"train": 6, "calibration": 2, "test": 4}
    assert {name: part.num_rows for name, part in parts.items()} == {"train": 30, "calibration": 10, "test": 20}
    assert split.excluded == ()
    _assert_apart(parts)


def test_the_seed_decides_and_the_order_of_rows_does_not(tmp_path: Path) -> None:
    (tmp_path / "reversed").mkdir()
    straight = _imported(tmp_path, _answers())
    backwards = _imported(tmp_path / "reversed", _answers()[::-1])

    split = make_split("ratings", _BY_QUESTION, [straight])

    assert make_split("ratings", _BY_QUESTION, [backwards]).parts == split.parts
    other_seed = _BY_QUESTION.model_copy(update={"seed": 2})
    assert make_split("ratings", other_seed, [straight]).parts != split.parts


def test_a_recurring_response_stays_in_the_held_out_part_and_leaves_the_trained_one(tmp_path: Path) -> None:
    records = _answers()
    for question in range(12):
        records.append(
            rating_record(
                context=f"Question number {question}?",
                question_id=f"q{question}",
                system="refuser",
                response="I cannot help with that!" if question % 2 else "i cannot  help with THAT",
            )
        )
    path = _imported(tmp_path, records)

    split = make_split("ratings", _BY_QUESTION, [path])
    parts = _parts(split, read_ratings(path))

    assert {name: part.num_rows for name, part in parts.items()} == {"train": 30, "calibration": 10, "test": 24}
    assert {(row.part, row.reason) for row in split.excluded} == {
        (part, "the same response occurs in a held-out part") for part in ("train", "calibration")
    }
    _assert_apart(parts)


def test_questions_with_the_same_text_are_one_question(tmp_path: Path) -> None:
    twins = [
        rating_record(context=text, question_id=name, response=f"Reply to {name}.")
        for name, text in (("twin-a", "Why am I sad?"), ("twin-b", "why am I  sad"))
    ]
    path = _imported(tmp_path, _answers() + list(twins))

    split = make_split("ratings", _BY_QUESTION, [path])

    holding = [name for name, part in split.parts.items() if {"ratings:twin-a", "ratings:twin-b"} & set(part.groups)]
    assert len(holding) == 1


def test_systems_can_be_held_out_too(tmp_path: Path) -> None:
    path = _imported(tmp_path, _answers())
    config = _BY_QUESTION.model_copy(update={"held_out_systems": 2})

    split = make_split("ratings", config, [path])
    parts = _parts(split, read_ratings(path))

    seen = {name: set(part["system"].to_pylist()) for name, part in parts.items()}
    assert len(seen["test"]) == 2
    assert not seen["test"] & (seen["train"] | seen["calibration"])
    assert {name: part.num_rows for name, part in parts.items()} == {
        name: part.rows for name, part in split.parts.items()
    }


def _material(folder: Path, kinds: int = 3, pairs: int = 10, posts: int = 10) -> pa.Table:
    for number in range(kinds):
        kind = f"kind_{number}"
        records: list[dict[str, Any] | str] = [pair_record(n, kind) for n in range(pairs)]
        write_jsonl(folder / "stress_pairs" / f"{kind}.jsonl", records)
    graded: list[dict[str, Any] | str] = [
        case_record(3 * post + reply, "peer_graded", context=f"Post {post}.")
        for post in range(posts)
        for reply in range(3)
    ]
    write_jsonl(folder / "hard_cases" / "peer_graded.jsonl", graded)
    run_import(authored(folder), folder / "a.parquet")
    return read_ratings(folder / "a.parquet")


def test_authored_material_is_held_out_by_kind_and_by_item(tmp_path: Path) -> None:
    table = _material(tmp_path)

    split = make_split("authored", _AUTHORED, [tmp_path / "a.parquet"])
    parts = _parts(split, table)

    (never,) = split.held_out_kinds
    assert {row["kind"] for row in parts["held_out_kinds"].to_pylist()} == {never}
    assert parts["held_out_kinds"].num_rows == 20
    assert never not in parts["train"]["kind"].to_pylist()
    # Two other kinds: 4 of 10 pairs each, two rows a pair; and 3 of 10 posts with their three replies.
    assert parts["held_out_items"].num_rows == 2 * 4 * 2 + 3 * 3
    assert sum(part.num_rows for part in parts.values()) == table.num_rows
    _assert_apart(parts)


def test_a_pair_that_loses_one_reply_loses_both(tmp_path: Path) -> None:
    records: list[dict[str, Any] | str] = [pair_record(n, "kind_0", better="I hear you.") for n in range(10)]
    write_jsonl(tmp_path / "stress_pairs" / "kind_0.jsonl", records)
    write_jsonl(tmp_path / "stress_pairs" / "kind_1.jsonl", [pair_record(n, "kind_1") for n in range(10)])
    run_import(authored(tmp_path), tmp_path / "a.parquet")

    split = make_split("authored", _AUTHORED, [tmp_path / "a.parquet"])
    parts = _parts(split, read_ratings(tmp_path / "a.parquet"))

    for part in parts.values():
        ids = part["pair_id"].to_pylist()
        assert all(ids.count(pair_id) == 2 for pair_id in ids)
    _assert_apart(parts)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"test": 11}, id="too-few-questions"),
        pytest.param({"held_out_systems": 5}, id="too-few-systems"),
    ],
)
def test_a_split_that_cannot_be_made_is_an_error(tmp_path: Path, changed: dict[str, int]) -> None:
    path = _imported(tmp_path, _answers())

    with pytest.raises(SplitError, match="held out"):
        make_split("ratings", _BY_QUESTION.model_copy(update=changed), [path])


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        pytest.param(Row("b", "g1", "s", "ctx b", "resp b", None, None), "1 questions", id="question"),
        pytest.param(Row("b", "g2", "s", "ctx a", "resp b", None, None), "1 contexts", id="context"),
        pytest.param(Row("b", "g2", "s", "ctx b", "resp a", None, None), "1 responses", id="response"),
    ],
)
def test_what_parts_share_is_named(other: Row, shared: str) -> None:
    row = Row("a", "g1", "s", "ctx a", "resp a", None, None)

    with pytest.raises(SplitError, match=f"train and test share {shared}"):
        check_no_leak({"train": [row], "test": [other]})


def test_inputs_are_recorded_by_name_and_by_path_where_two_have_one_name(tmp_path: Path) -> None:
    paths = []
    for index, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        paths.append(_imported(tmp_path / name, _answers(rater=name)[index:]))
    alone = make_split("ratings", _BY_QUESTION, paths[:1]).inputs

    inputs = make_split("ratings", _BY_QUESTION, paths).inputs

    assert alone == {"r.parquet": file_sha256(paths[0])}
    assert inputs == {path.as_posix(): file_sha256(path) for path in paths}


def test_the_record_reads_back_and_an_unknown_part_is_refused(tmp_path: Path) -> None:
    path = _imported(tmp_path, _answers())
    split = make_split("ratings", _BY_QUESTION, [path])
    (tmp_path / "split.json").write_text(split.model_dump_json())

    loaded = Split.load(tmp_path / "split.json")

    assert loaded == split
    with pytest.raises(SplitError, match="train, calibration, test"):
        loaded.select(read_ratings(path), "validation")
    with pytest.raises(SplitError):
        Split.load(path)


def test_the_committed_configuration_is_valid_and_holds_out_36_questions() -> None:
    path = Path(__file__).parents[4] / "trainer" / "configs" / "splits.yaml"

    config = load_split_config(path, "mentalchat")

    assert isinstance(config, QuestionSplit)
    assert (config.test, config.calibration) == (24, 12)
    assert isinstance(load_split_config(path, "authored"), AuthoredSplit)
    with pytest.raises(SplitError, match="no split 'other'"):
        load_split_config(path, "other")


@given(st.text(), st.text())
def test_normalising_twice_changes_nothing_and_blanks_and_case_are_ignored(one: str, other: str) -> None:
    assert normalised(normalised(one)) == normalised(one)
    assert normalised(f"  {one} \n {other}") == normalised(f"{one}\t{other}")


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_digests_tell_parts_apart(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)
