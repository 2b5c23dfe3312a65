"""The commands from ratings to reports: pages stand alone, errors are one line, torch is not loaded."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from services.contracts.dimensions import DIMENSIONS
from tests.unit.trainer.data.builders import LEVELS, rating_record, write_jsonl
from trainer.agreement.report import AgreementReport
from trainer.cli import app
from trainer.data.schema import read_ratings
from trainer.errors import AgreementError, TrainerError

pytestmark = pytest.mark.slow

_NAMES = [dimension.value for dimension in DIMENSIONS]


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two raters' scores of replies by four systems to twelve questions, imported and split."""
    folder = tmp_path_factory.mktemp("ratings")
    records: list[dict[str, Any] | str] = []
    for question in range(12):
        for system in range(4):
            for rater, shift in (("clinician", 0.0), ("model <b>", 0.5)):
                scores = {
                    name: 1 + (question * 3 + system * (index + 2)) % 7 / 2 + shift for index, name in enumerate(LEVELS)
                }
                text = "word " * (question + system + 1)
                common = {"context": f"Question {question}?", "question_id": str(question), "system": f"s{system}"}
                records.append(rating_record(response=f"{system} {question} {text}", rater=rater, **common, **scores))
    write_jsonl(folder / "r.jsonl", records)
    assert _run("import", "--source", "ratings", folder / "r.jsonl", "--out", folder / "r.parquet").exit_code == 0
    config = folder / "splits.yaml"
    config.write_text("mine: {method: question, seed: 1, test: 4, calibration: 2}")
    split = _run(
        *("split", "--ratings", folder / "r.parquet", "--name", "mine"),
        *("--config", config, "--out", folder / "split.json"),
    )
    assert split.exit_code == 0, split.output
    return folder


def _agreement(folder: Path, *more: str | Path) -> Result:
    common = ("agreement", "--ratings", folder / "r.parquet", "--reference", "clinician", "--n-boot", "100")
    return _run(*common, "--out", folder / "out", *more)


def _assert_stands_alone(page: str) -> None:
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "@import" not in page
    assert "<script" not in page
    assert page.count("<svg") >= 2


def test_agreement_writes_json_and_a_page_that_stands_alone(folder: Path) -> None:
    result = _agreement(folder, "--rater", "model <b>")

    assert result.exit_code == 0, result.output
    report = AgreementReport.from_json((folder / "out" / "agreement.json").read_bytes())
    page = (folder / "out" / "agreement.html").read_text()
    assert report.per_answer["empathy"].bias.value == pytest.approx(0.5)
    assert report.per_answer["empathy"].icc_c1.value == pytest.approx(1.0)
    assert "per system mean" in result.output
    assert "model &lt;b&gt; against clinician" in page
    _assert_stands_alone(page)


def test_the_same_ratings_give_the_same_page(folder: Path) -> None:
    pages = []
    for _ in range(2):
        assert _agreement(folder, "--rater", "model <b>").exit_code == 0
        pages.append((folder / "out" / "agreement.html").read_bytes())

    assert pages[0] == pages[1]


def test_agreement_on_one_part_takes_its_questions_alone(folder: Path) -> None:
    result = _agreement(folder, "--rater", "model <b>", "--split", folder / "split.json", "--part", "test")

    assert result.exit_code == 0, result.output
    assert AgreementReport.from_json((folder / "out" / "agreement.json").read_bytes()).n_questions == 4


def _scores(folder: Path, **changed: object) -> Path:
    items = sorted(set(read_ratings(folder / "r.parquet")["item_id"].to_pylist()))
    columns: dict[str, Any] = {"item_id": items} | {name: [3.25] * len(items) for name in _NAMES} | changed
    pq.write_table(pa.table(columns), folder / "scores.parquet")
    return folder / "scores.parquet"


def test_a_judges_scores_are_compared_by_item(folder: Path) -> None:
    result = _agreement(folder, "--scores", _scores(folder))

    assert result.exit_code == 0, result.output
    report = json.loads((folder / "out" / "agreement.json").read_text())
    assert report["n_answers"] == 48
    assert report["per_answer"]["safety"]["spearman"]["value"] is None


def test_a_judge_is_held_against_the_incumbent_on_the_same_answers(folder: Path) -> None:
    incumbent = _scores(folder).rename(folder / "incumbent.parquet")
    items = pq.read_table(incumbent)["item_id"]
    beside = ("--incumbent-scores", incumbent, "--incumbent", "judge-old")
    result = _agreement(folder, "--scores", _scores(folder), *beside)

    assert result.exit_code == 0, result.output
    report = AgreementReport.from_json((folder / "out" / "agreement.json").read_bytes())
    assert {name: difference.value for name, difference in report.over_incumbent.items()} == dict.fromkeys(_NAMES, 0.0)
    assert "minus the incumbent's" in result.output
    assert report.incumbent == "judge-old"
    assert "same answers as judge-old" in result.output
    assert "Over the incumbent, judge-old" in (folder / "out" / "agreement.html").read_text()

    pq.write_table(pq.read_table(incumbent).slice(0, len(items) - 1), incumbent)
    other = _agreement(folder, "--scores", _scores(folder), *beside)
    assert isinstance(other.exception, AgreementError)
    assert "not of the answers" in str(other.exception)


def test_an_incumbent_without_a_name_is_refused(folder: Path) -> None:
    scores = _scores(folder)
    result = _agreement(folder, "--scores", scores, "--incumbent-scores", scores)

    assert isinstance(result.exception, AgreementError)
    assert "--incumbent and --incumbent-scores together" in str(result.exception)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"safety": [6.0] * 48}, id="out-of-range"),
        pytest.param({"safety": [None] * 48}, id="missing"),
        pytest.param({"safety": [float("nan")] * 48}, id="not-a-number"),
        pytest.param({"item_id": ["one"] * 48}, id="repeated-item"),
    ],
)
def test_a_scores_file_that_cannot_be_trusted_is_refused(folder: Path, changed: dict[str, Any]) -> None:
    result = _agreement(folder, "--scores", _scores(folder, **changed))

    assert isinstance(result.exception, AgreementError)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--rater", "nobody"], "raters here: clinician, model <b>", id="unknown-rater"),
        pytest.param([], "--rater", id="nobody-named"),
        pytest.param(["--rater", "clinician", "--part", "test"], "--split and --part", id="part-without-split"),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_says_how_to_mend_it(
    folder: Path, arguments: list[str], says: str
) -> None:
    result = _agreement(folder, *arguments)

    assert isinstance(result.exception, TrainerError)
    assert says in str(result.exception)


def test_the_card_counts_what_there_is(folder: Path) -> None:
    result = _run("card", "--ratings", folder / "r.parquet", "--split", folder / "split.json", "--out", folder / "card")

    assert result.exit_code == 0, result.output
    card = json.loads((folder / "card" / "card.json").read_text())
    expected = {"ratings": 96, "replies": 48, "questions": 12, "systems": 4, "raters": 2, "authored": 0}
    assert card["counts"] == expected
    assert sum(part["ratings"] for part in card["parts"].values()) == 96
    assert sum(card["scores"]["clinician"]["safety"]["by_level"]) == 48
    assert {row["n"] for row in card["agreement"]} == {48}
    _assert_stands_alone((folder / "card" / "card.html").read_text())


def _module(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)  # a fresh interpreter on a busy machine
def test_an_error_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = _module("-m", "trainer", "import", "--source", "ratings", tmp_path / "gone.jsonl", "--out", tmp_path / "o")

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "gone.jsonl: no such file" in result.stderr


@pytest.mark.timeout(600)
def test_the_command_line_starts_without_torch() -> None:
    result = _module("-c", "import sys, trainer.cli; sys.exit('torch' in sys.modules)")

    assert result.returncode == 0, result.stderr
