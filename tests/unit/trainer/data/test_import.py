"""Imports: every source lands in one schema; bad rows are counted by reason, listed by number, and never guessed."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from services.contracts.conversation import Turn
from tests.unit.trainer.data.builders import (
    LEVELS,
    case_record,
    mentalchat_record,
    pair_record,
    rating_record,
    run_import,
    write_csv,
    write_jsonl,
)
from trainer.data.schema import SCHEMA, Rating, read_ratings, turns_from_json
from trainer.data.sources.authored import authored
from trainer.data.sources.counselchat import counselchat
from trainer.data.sources.mentalalign import CONTEXTS_FILE, mentalalign
from trainer.data.sources.mentalchat import five_point, mentalchat
from trainer.data.sources.ratings import ratings
from trainer.data.sources.source import Source
from trainer.errors import DataError

_FIXTURES = Path(__file__).parent / "fixtures"
_CORRUPT_GZIP = gzip.compress(b"")[:10] + b"\xff" * 20
"""A sound gzip header, and then no deflate stream: zlib's own error."""


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_ratings(path).to_pylist()
    return rows


@pytest.mark.parametrize(
    ("ten_point", "expected"),
    [pytest.param(1, 1.0, id="least"), pytest.param(5.5, 3.0, id="middle"), pytest.param(10, 5.0, id="most")],
)
def test_ten_points_map_linearly_to_five(ten_point: float, expected: float) -> None:
    assert five_point(ten_point) == pytest.approx(expected)


def test_mentalchat_ratings_become_the_documented_proxies(tmp_path: Path) -> None:
    source = mentalchat(write_jsonl(tmp_path / "judgments.jsonl.gz", [mentalchat_record()]))

    report = run_import(source, tmp_path / "out.parquet")

    (row,) = _rows(tmp_path / "out.parquet")
    assert (report.records_read, report.rows_written, report.refused) == (1, 1, {})
    assert {name: row[name] for name in LEVELS} == pytest.approx(
        {
            "guidance": 1.0,  # clarity 1
            "informativeness": 3.0,  # holistic 5.5
            "relevance": five_point(7),
            "safety": five_point(6.5),  # mean of 8 and 5
            "empathy": 5.0,  # 10
            "helpfulness": five_point(8),
            "understanding": five_point(8),  # mean of 7 and 9
        }
    )
    assert (row["question_id"], row["split_group"], row["rater"]) == ("1", "mentalchat:1", "gpt-4-1106-preview")


@pytest.mark.parametrize(
    ("records", "reason", "row"),
    [
        pytest.param([mentalchat_record(overall=11.0)], "out_of_range", 1, id="above-the-scale"),
        pytest.param([mentalchat_record(overall=0)], "out_of_range", 1, id="below-the-scale"),
        pytest.param(['{"overall": NaN}'], "missing", 1, id="fields-missing"),
        pytest.param([mentalchat_record(overall=True)], "unparseable", 1, id="true-is-no-rating"),
        pytest.param([mentalchat_record(overall="eight")], "unparseable", 1, id="words-are-no-rating"),
        pytest.param([mentalchat_record(response=" ")], "unparseable", 1, id="blank-response"),
        pytest.param([mentalchat_record(), "", mentalchat_record()], "duplicate", 3, id="duplicate-after-blank-line"),
        pytest.param(["{"], "unparseable", 1, id="broken-json"),
        pytest.param(["[1]"], "unparseable", 1, id="not-an-object"),
        pytest.param(['{"overall": 8, "overall": 2}'], "unparseable", 1, id="a-name-twice"),
        pytest.param(['{"ratings": {"x": 1, "x": 5}}'], "unparseable", 1, id="a-name-twice-further-in"),
        pytest.param([mentalchat_record(question_id="")], "missing", 1, id="empty-id"),
        pytest.param([mentalchat_record(question_id="q" * 190)], "out_of_range", 1, id="long-id"),
    ],
)
def test_a_bad_row_is_refused_by_reason_and_number(
    tmp_path: Path, records: list[dict[str, Any] | str], reason: str, row: int
) -> None:
    good = mentalchat_record(system="another")
    path = write_jsonl(tmp_path / "judgments.jsonl", [*records, good])

    report = run_import(mentalchat(path), tmp_path / "out.parquet")

    assert report.refused == {reason: 1}
    assert [(refused.row, refused.reason) for refused in report.refused_rows] == [(row, reason)]
    assert "another" in {written["system"] for written in _rows(tmp_path / "out.parquet")}


def test_refusals_do_not_quote_the_text(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "r.jsonl", [rating_record(response=["a secret"]), rating_record()])

    report = run_import(ratings(path), tmp_path / "out.parquet")

    assert report.refused == {"unparseable": 1}
    assert "secret" not in report.model_dump_json()


def test_strict_stops_at_the_first_bad_row_in_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "r.jsonl", [rating_record(), rating_record(safety=9), rating_record(safety=8)])

    with pytest.raises(DataError) as refused:
        run_import(ratings(path), tmp_path / "out.parquet", strict=True)

    assert str(refused.value).startswith("r.jsonl, row 2: out_of_range: safety")
    assert "\n" not in str(refused.value)
    assert [file.name for file in tmp_path.iterdir()] == ["r.jsonl"]


def test_a_teams_json_lines_are_read_as_documented(tmp_path: Path) -> None:
    report = run_import(ratings(_FIXTURES / "ratings.jsonl"), tmp_path / "out.parquet")

    first, second, third = _rows(tmp_path / "out.parquet")
    assert report.refused == {}
    assert first["item_id"] == second["item_id"] != third["item_id"]
    assert first["split_group"] == second["split_group"]
    assert (second["guidance"], second["empathy"]) == (None, 4.0)
    assert [turn.role for turn in turns_from_json(third["context"])] == ["user", "assistant", "user"]
    assert (third["split_group"], third["weight"]) == ("ratings:job-1", None)


def test_a_teams_csv_is_read_as_documented(tmp_path: Path) -> None:
    report = run_import(ratings(_FIXTURES / "ratings.csv"), tmp_path / "out.parquet")

    first, second = _rows(tmp_path / "out.parquet")
    assert report.refused == {}
    assert first["response"] == "That hurts.\nDid something happen?"
    assert (first["safety"], second["safety"], second["empathy"]) == (5.0, None, 5.0)
    assert turns_from_json(second["context"])[0].content == "numb i guess"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"empaty": 4}, "unknown_field", id="misspelt-dimension"),
        pytest.param(dict.fromkeys(LEVELS), "missing", id="nothing-rated"),
        pytest.param({"empathy": 5.5}, "out_of_range", id="above-the-scale"),
        pytest.param({"weight": 2.0}, "unknown_field", id="weight-that-nothing-would-read"),
        pytest.param({"question_id": ""}, "missing", id="empty-question"),
        pytest.param({"question_id": "q" * 181}, "out_of_range", id="long-question"),
        pytest.param({"context": []}, "unparseable", id="no-turns"),
        pytest.param({"context": [{"role": "system", "content": "x"}]}, "unparseable", id="unknown-role"),
        pytest.param({"context": None}, "unparseable", id="no-context"),
        pytest.param({"rater": ""}, "missing", id="no-rater"),
    ],
)
def test_a_teams_bad_row_is_refused(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    path = write_jsonl(tmp_path / "r.jsonl", [rating_record(**changed), rating_record(system="another")])

    assert run_import(ratings(path), tmp_path / "out.parquet").refused == {reason: 1}


def test_bytes_that_are_not_utf8_cost_their_row_alone(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "r.csv", [rating_record(), rating_record(rater="clinician-2")])
    path.write_bytes(path.read_bytes().replace(b"My brother", b"My \xff\xfe", 1))

    report = run_import(ratings(path), tmp_path / "out.parquet")

    assert [(row.row, row.reason) for row in report.refused_rows] == [(1, "unparseable")]
    assert report.rows_written == 1


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("c1,r1,me,s,5,4,3", id="too-many"),
        pytest.param("c1,r1,me,5,4", id="too-few-and-so-shifted"),
        pytest.param("c1", id="one"),
    ],
)
def test_a_row_with_more_or_fewer_cells_than_the_header_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"context,response,rater,system,safety,empathy\nc0,r0,me,s,5,4\n\n{row}\nc2,r2,me,s,,4\n")

    report = run_import(ratings(path), tmp_path / "out.parquet")

    assert [(refused.row, refused.reason) for refused in report.refused_rows] == [(2, "unparseable")]
    assert (report.records_read, report.rows_written) == (3, 2)


def test_empty_columns_without_a_name_are_no_fields(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("context,response,rater,system,safety,,\nc0,r0,me,s,5,,\nc1,r1,me,s,5,,4\n")

    assert run_import(ratings(path), tmp_path / "out.parquet").refused == {"unknown_field": 1}


@pytest.mark.parametrize("strict", [pytest.param(False, id="lenient"), pytest.param(True, id="strict")])
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param('"He wrote "x" and:\nc9,r9,me,s,5,5\nend","real reply",me,s,1,1', id="quotes-not-doubled"),
        pytest.param('"He wrote x and:\nc9,r9,me,s,5,5\nend,real reply,me,s,1,1', id="quote-not-closed"),
    ],
)
def test_text_in_a_cell_never_becomes_a_rating(tmp_path: Path, broken: str, strict: bool) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"context,response,rater,system,safety,empathy\nc0,r0,me,s,5,4\n{broken}\nc2,r2,me,s,5,4\n")

    with pytest.raises(DataError, match=r"r\.csv: row 2: malformed CSV") as refused:
        run_import(ratings(path), tmp_path / "out.parquet", strict=strict)

    assert "wrote" not in str(refused.value)
    assert not (tmp_path / "out.parquet").exists()


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("context,response,rater,system,safety,safety\nc0,r0,me,s,1,5\n")

    with pytest.raises(DataError, match="columns 5 and 6 have the same name"):
        run_import(ratings(path), tmp_path / "out.parquet")


def test_what_the_schema_refuses_is_a_refused_row_and_is_not_quoted(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "r.jsonl", [{"rater": "secret " * 40}, {"rater": "me"}])

    def convert(raw: dict[str, Any], file: Path) -> list[Rating]:
        turns = (Turn(role="user", content="c"),)
        named = dict.fromkeys(("item_id", "question_id", "system", "source", "split_group"), "x")
        return [Rating(context=turns, rater=raw["rater"], **named)]

    report = run_import(Source("own", (path,), convert), tmp_path / "out.parquet")

    assert (report.refused, report.rows_written) == ({"out_of_range": 1}, 1)
    assert "secret" not in report.model_dump_json()


def test_mentalalign_has_no_texts_and_its_out_of_range_rows_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / CONTEXTS_FILE, [{"conversation_id": 7, "context": "I am stuck."}])
    row = {"conversation_id": 7, "system": "gpt4o", "rater": "human", **LEVELS}
    path = write_csv(tmp_path / "r.csv", [row, row | {"rater": "claude", "safety": 6}, row | {"conversation_id": 8}])

    report = run_import(mentalalign(path), tmp_path / "out.parquet")

    (written,) = _rows(tmp_path / "out.parquet")
    assert report.refused == {"out_of_range": 1, "missing": 1}
    assert set(report.inputs) == {"r.csv", CONTEXTS_FILE}
    assert (written["response"], written["split_group"]) == (None, "mentalalign:7")


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param(b"not gzip", "damaged", id="not-gzip"),
        pytest.param(_CORRUPT_GZIP, "damaged", id="corrupt-within"),
        pytest.param(gzip.compress(b"conversation_id,context\n7\n"), "row 1: unparseable", id="a-cell-short"),
        pytest.param(gzip.compress(b'conversation_id,context\n7,"a "b" c"\n'), "malformed CSV", id="broken-quoting"),
    ],
)
def test_contexts_that_cannot_be_used_are_an_error(tmp_path: Path, contexts: bytes | None, message: str) -> None:
    row = {"conversation_id": 7, "system": "gpt4o", "rater": "human", **LEVELS}
    path = write_csv(tmp_path / "r.csv", [row])
    if contexts is not None:
        (tmp_path / CONTEXTS_FILE).write_bytes(contexts)

    with pytest.raises(DataError, match=message):
        mentalalign(path)


def test_counselchat_answers_come_unrated_and_once(tmp_path: Path) -> None:
    row = {"question_id": 0, "title": "t", "question": "Am I worthless?", "answer": "No.", "upvotes": 3}
    path = write_csv(tmp_path / "c.csv.gz", [row, row])

    report = run_import(counselchat(path), tmp_path / "out.parquet")

    (written,) = _rows(tmp_path / "out.parquet")
    assert report.refused == {"duplicate": 1}
    assert written["rater"] == "unrated"
    assert all(written[name] is None for name in LEVELS)


def test_a_pair_gives_two_rows_of_one_question(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "stress_pairs" / "short_vs_long.jsonl", [pair_record()])
    write_jsonl(tmp_path / "hard_cases" / "curt.jsonl", [case_record()])

    run_import(authored(tmp_path), tmp_path / "out.parquet")

    case, better, worse = _rows(tmp_path / "out.parquet")
    assert (better["pair_role"], worse["pair_role"], case["pair_role"]) == ("better", "worse", None)
    assert better["pair_id"] == worse["pair_id"] == "short_vs_long-001"
    assert better["split_group"] == worse["split_group"] != case["split_group"]
    assert (better["empathy"], worse["empathy"], better["pair_dimension"]) == (5.0, 2.0, "empathy")
    assert all(row["authored"] for row in (better, worse, case))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"kind": "other"}, "inconsistent", id="kind-is-not-the-file"),
        pytest.param({"better_levels": LEVELS | {"empathy": 2}}, "inconsistent", id="better-is-not-better"),
        pytest.param({"dimension": "charm"}, "unparseable", id="unknown-dimension"),
        pytest.param({"worse_levels": LEVELS | {"empathy": True}}, "unparseable", id="true-is-no-level"),
        pytest.param({"id": "short_vs_long-001"}, "duplicate", id="id-used-before"),
    ],
)
def test_inconsistent_material_is_refused(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    records: list[dict[str, Any] | str] = [pair_record(1), pair_record(2, **changed)]
    write_jsonl(tmp_path / "stress_pairs" / "short_vs_long.jsonl", records)

    assert run_import(authored(tmp_path), tmp_path / "out.parquet").refused == {reason: 1}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.parquet", "two.parquet"):
        run_import(ratings(_FIXTURES / "ratings.jsonl"), tmp_path / name)

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert read_ratings(tmp_path / "one.parquet").schema.equals(SCHEMA)


def test_many_batches_are_one_file(tmp_path: Path) -> None:
    records: list[dict[str, Any] | str] = [rating_record(system=f"system-{n}") for n in range(5000)]

    report = run_import(ratings(write_jsonl(tmp_path / "r.jsonl", records)), tmp_path / "out.parquet")

    assert report.rows_written == read_ratings(tmp_path / "out.parquet").num_rows == 5000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("r.jsonl.gz", b"not gzip", id="not-gzip"),
        pytest.param("r.jsonl.gz", _CORRUPT_GZIP, id="corrupt-within"),
        pytest.param("r.jsonl.gz", gzip.compress(b"{}" * 99)[:20], id="cut-off"),
        pytest.param("r.txt", b"{}", id="unknown-format"),
        pytest.param("r.jsonl", b"{}\n{}\n", id="no-usable-row"),
        pytest.param("r.csv", b"", id="empty-file"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError):
        run_import(ratings(tmp_path / name), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jsonl"):
        ratings(tmp_path / "gone.jsonl")
