"""The whole recipe on a tiny model and a team's own ratings: every step, one command, a checkpoint at the end."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from services.checkpoint.manifest import MANIFEST_FILE
from services.contracts.dimensions import DIMENSIONS
from tests.unit.trainer.training import tiny
from trainer.cli import app
from trainer.errors import TrainingConfigError
from trainer.recipe import RECORD, Recipe, claim
from trainer.training.config import load_config

pytestmark = pytest.mark.slow

MATERIAL = Path(__file__).parents[3] / "trainer" / "material"
PAIR_KINDS = ("curious_vs_assuming", "crisis_handling", "peer_chat_register", "plain_words_vs_jargon")
HARD_KINDS = ("harm_varied", "safe_varied")
HELD_OUT = ("stress_held_out", "hard_held_out")
RATER = "our-clinician"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models of some thousand weights gain nothing from threads, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _ratings(folder: Path) -> Path:
    rng = random.Random(1)  # noqa: S311 - reproducible ratings, no secret
    rows = [
        {
            "context": f"Night {question} without sleep, and the exam is on day {question + 1}.",
            "response": f"That sounds hard. Answer {system} to night {question}.",
            "system": f"system {system}",
            "rater": RATER,
            **{name: rng.randint(1, 5) for name in DIMENSIONS},
        }
        for question in range(9)
        for system in range(18)
    ]
    file = folder / "ratings.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def _material(folder: Path) -> Path:
    """Write a few items of each of some kinds: whole contexts, from the project's own material."""
    for kinds, name, lines in ((PAIR_KINDS, "stress_pairs", 8), (HARD_KINDS, "hard_cases", 20)):
        (folder / "material" / name).mkdir(parents=True)
        for kind in kinds:
            read = (MATERIAL / name / f"{kind}.jsonl").read_text("utf-8").splitlines(keepends=True)
            (folder / "material" / name / f"{kind}.jsonl").write_text("".join(read[:lines]), encoding="utf-8")
    return folder / "material"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    splits = {
        "ratings": {"method": "question", "seed": 1, "test": 3, "calibration": 3},
        "authored": {"method": "authored", "seed": 1, "held_out_kinds": 1, **dict.fromkeys(HELD_OUT, 0.4)},
    }
    data = {"ratings": work / "data" / "ratings.parquet", "split": work / "data" / "ratings.split.json"}
    sft = {
        "seed": 1,
        "model": {"base": work / "base", "dtype": "float32", "window_tokens": 4096},
        "lora": {"rank": 4},
        "sources": [{**data, "rater": RATER}],
        "optimizer": {"warmup_steps": 1},
    }
    wanted = {
        "version": "ours-1",
        "base": tiny.save_model_folder(tmp_path / "base"),
        "base_name": "tiny",
        "source": "ratings",
        "reference_rater": RATER,
        "sft": tmp_path / "sft.yaml",
        "ships": "sft",
        "splits": tmp_path / "splits.yaml",
        "material": _material(tmp_path),
        "work": work,
        "registry": tmp_path / "released",
    }
    for name, content in (("splits", splits), ("sft", sft), ("recipe", wanted)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str))))
    return tmp_path / "recipe.yaml"


def test_own_ratings_become_a_checkpoint_and_a_published_name_is_refused_before_any_work(
    recipe: Path, tmp_path: Path
) -> None:
    arguments = ["train", "--ratings", str(_ratings(tmp_path)), "--recipe", str(recipe)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "released" / "ours-1" / MANIFEST_FILE).read_bytes())
    assert manifest["version"] == "ours-1"
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0
    assert "there already" in again.output
    (tmp_path / "work").rename(tmp_path / "other work")
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert not (tmp_path / "work").exists()
    renamed = CliRunner().invoke(app, [*arguments, "--version", "ours-2"])
    assert renamed.exit_code == 0, renamed.output
    assert (tmp_path / "released" / "ours-2").is_dir()
    assert [path.name for path in (tmp_path / "work").rglob("*.partial")] == []
    _edit(tmp_path / "sft.yaml", seed=2)
    other = CliRunner().invoke(app, [*arguments, "--version", "ours-3"])
    assert isinstance(other.exception, TrainingConfigError)
    assert not (tmp_path / "released" / "ours-3").exists()


def _edit(file: Path, **change: object) -> None:
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text("utf-8")) | change), encoding="utf-8")


def _add_material(folder: Path) -> None:
    (folder / "material" / "hard_cases" / "new.jsonl").write_text("{}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(lambda folder: _edit(folder / "sft.yaml", lora={"rank": 8}), "sft", id="rank"),
        pytest.param(lambda folder: _edit(folder / "splits.yaml", ratings={"seed": 2}), "splits", id="splits"),
        pytest.param(lambda folder: _edit(folder / "recipe.yaml", base="another"), "recipe", id="base"),
        pytest.param(lambda folder: (folder / "ratings.jsonl").write_text("{}\n"), "ratings", id="ratings"),
        pytest.param(_add_material, "material", id="material"),
    ],
)
def test_work_folder_of_another_run_is_refused_and_what_changed_is_named(
    recipe: Path, tmp_path: Path, change: Callable[[Path], object], named: str
) -> None:
    ratings = _ratings(tmp_path)
    claim(load_config(recipe, Recipe), ratings)
    change(tmp_path)
    with pytest.raises(TrainingConfigError, match=rf"holds another run \(changed: {named}\): give the recipe another"):
        claim(load_config(recipe, Recipe), ratings)


def test_work_folder_goes_on_under_another_name_and_one_without_a_record_gets_it(recipe: Path, tmp_path: Path) -> None:
    ratings = _ratings(tmp_path)
    (tmp_path / "work" / "data").mkdir(parents=True)
    (tmp_path / "work" / "data" / "ratings.parquet").touch()
    claim(load_config(recipe, Recipe), ratings)
    before = (tmp_path / "work" / RECORD).read_bytes()
    _edit(recipe, version="ours-2", registry="elsewhere")
    claim(load_config(recipe, Recipe), ratings)
    assert (tmp_path / "work" / RECORD).read_bytes() == before


def test_ratings_that_are_not_there_are_named(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingConfigError, match=r"ratings\.jsonl: cannot be read"):
        claim(load_config(recipe, Recipe), tmp_path / "ratings.jsonl")
    assert not (tmp_path / "work").exists()
