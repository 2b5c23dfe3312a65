"""The real files import with the figures that the data's own description gives, and split without leaks."""

from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from trainer.agreement.absolute import icc_a1
from trainer.agreement.pairing import pair
from trainer.data.identity import normalised
from trainer.data.importer import ImportReport, import_ratings
from trainer.data.schema import read_ratings
from trainer.data.sources.counselchat import counselchat
from trainer.data.sources.mentalalign import mentalalign
from trainer.data.sources.mentalchat import mentalchat
from trainer.data.sources.source import Source
from trainer.data.split_config import load_split_config
from trainer.data.splits import make_split

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # 50,000 rows take seconds, on a busy machine minutes

_CONFIG = Path(__file__).parents[3] / "trainer" / "configs" / "splits.yaml"


def _import(source: Source, out: Path) -> ImportReport:
    return import_ratings(source, out, strict=False, open_file=lambda path: path.open("rb"))


@pytest.fixture(scope="module")
def mentalchat_parquet(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mentalchat") / "mentalchat.parquet"
    report = _import(mentalchat(data_dir / "mentalchat_judgments.jsonl.gz"), out)
    assert (report.records_read, report.rows_written, report.refused) == (12_444, 12_444, {})
    return out


@pytest.fixture(scope="module")
def ratings(mentalchat_parquet: Path) -> pa.Table:
    return read_ratings(mentalchat_parquet)


def test_mentalchat_has_140_questions_50_systems_and_two_judges(ratings: pa.Table) -> None:
    distinct = {name: pc.count_distinct(ratings[name]).as_py() for name in ("split_group", "system", "rater")}

    assert distinct == {"split_group": 140, "system": 50, "rater": 2}


def test_the_closed_judge_agrees_per_answer_as_the_data_says(ratings: pa.Table) -> None:
    paired = pair(ratings, "gpt-4-1106-preview", "gemini-pro")

    agreement = icc_a1(paired.reference.T, paired.judged.T)

    # Given for all 200 questions, of which 140 are here: guidance, informativeness, relevance, empathy, helpfulness.
    known = {0: 0.59, 1: 0.58, 2: 0.53, 4: 0.60, 5: 0.50}
    assert {index: float(agreement[index]) for index in known} == pytest.approx(known, abs=0.03)


def test_the_mentalchat_split_is_104_12_24_questions_with_nothing_shared(
    mentalchat_parquet: Path, ratings: pa.Table
) -> None:
    split = make_split("mentalchat", load_split_config(_CONFIG, "mentalchat"), [mentalchat_parquet])

    assert {name: len(part.groups) for name, part in split.parts.items()} == {
        "train": 104,
        "calibration": 12,
        "test": 24,
    }
    parts = [split.select(ratings, name) for name in split.parts]
    for one, other in combinations(parts, 2):
        for column in ("split_group", "context", "response"):
            texts = ({normalised(text) for text in part[column].to_pylist()} for part in (one, other))
            assert not set.intersection(*texts)


def test_mentalaligns_out_of_range_rows_are_refused_and_listed(data_dir: Path, tmp_path: Path) -> None:
    report = _import(mentalalign(data_dir / "mentalalign_ratings.csv.gz"), tmp_path / "out.parquet")

    assert (report.records_read, report.rows_written) == (49_926, 49_890)
    assert report.refused == {"out_of_range": 36}
    assert len(report.refused_rows) == 36


def test_counselchats_repeated_answers_are_refused(data_dir: Path, tmp_path: Path) -> None:
    report = _import(counselchat(data_dir / "counselchat.csv.gz"), tmp_path / "out.parquet")

    assert (report.records_read, report.rows_written, report.refused) == (2_129, 2_009, {"duplicate": 120})
