"""From trainer to judge: a very small training run publishes into the registry of a running judge, which takes it up.

The trainer runs as its own commands on the embedded base and some of the project's own material; nothing is mocked.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import httpx
import pytest
import yaml

from judge_service.settings import CheckpointSettings
from services.checkpoint.index import INDEX_FILE, RegistryIndex
from services.contracts.evaluate import Evaluation
from tests.integration.judge_service.conftest import judge_settings, ready_judge
from tests.support.real_parts import RealEngine

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(3600),
]

REPOSITORY: Final = Path(__file__).parents[4]
MATERIAL: Final = REPOSITORY / "trainer" / "material" / "hard_cases"
VERSION: Final = "tiny-1"
GOOD: Final = "oh man. the bowl. your hands haven't caught up with the news yet, and of course you're crying. i'm here."
BAD: Final = "its a dog bro"
CONTEXT: Final = "my dog died tuesday and i keep filling his bowl. 31 yr old man crying in the kitchen over kibble lol"


def _trainer(*arguments: object) -> None:
    command = [sys.executable, "-m", "trainer", *map(str, arguments)]
    done = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def _prepare(work: Path, base: Path) -> None:
    """Write the material, its split, and a run of nine steps."""
    for name in ("peer_graded_a", "peer_graded_b"):
        (work / "material" / "hard_cases").mkdir(parents=True, exist_ok=True)
        shutil.copy(MATERIAL / f"{name}.jsonl", work / "material" / "hard_cases")
    split = {"tiny": {"method": "question", "seed": 30887, "test": 10, "calibration": 14}}
    (work / "splits.yaml").write_text(yaml.safe_dump(split))
    run = {
        "seed": 30887,
        "model": {"base": str(base)},
        "sources": [{"ratings": str(work / "ratings.parquet"), "split": str(work / "split.json"), "rater": "authored"}],
        "optimizer": {"learning_rate": 1e-3, "warmup_steps": 2},
        "tokens_per_forward": 4096,
    }
    (work / "sft.yaml").write_text(yaml.safe_dump(run))


def _commands(work: Path, base: Path, registry: Path) -> Sequence[tuple[object, ...]]:
    """Return what `make train` does, on little data."""
    ratings, split = work / "ratings.parquet", work / "split.json"
    adapter = work / "run" / "adapter"
    rated = ("--ratings", ratings, "--split", split)
    scoring = ("predict", "--base", base, *rated)
    return (
        ("import", work / "material", "--source", "authored", "--out", ratings),
        ("split", "--ratings", ratings, "--name", "tiny", "--out", split, "--config", work / "splits.yaml"),
        ("sft", "--config", work / "sft.yaml", "--out", work / "run"),
        (*scoring, "--part", "calibration", "--adapter", adapter, "--out", work / "fit.parquet"),
        (*scoring, "--part", "test", "--adapter", adapter, "--out", work / "test.parquet"),
        (*scoring, "--part", "test", "--out", work / "base.parquet"),
        ("calibrate", "--scores", work / "fit.parquet", *rated, "--rater", "authored", "--out", work / "map.json"),
        (
            "apply-calibration",
            *("--scores", work / "test.parquet", "--calibration", work / "map.json", "--out", work / "scored.parquet"),
        ),
        (
            "agreement",
            *(*rated, "--reference", "authored", "--out", work / "report", "--scores", work / "scored.parquet"),
            *("--part", "test", "--n-boot", 200),
        ),
        (
            "package",
            *("--version", VERSION, "--adapter", adapter, "--configuration", work / "run" / "config.json"),
            *("--method", "sft", "--base", base, "--base-name", "google/gemma-3-270m"),
            *("--reference-rater", "authored", "--calibration", work / "map.json"),
            *("--agreement", work / "report" / "agreement.json", "--golden-ratings", ratings),
            *("--golden-scores", work / "test.parquet", "--golden-base-scores", work / "base.parquet"),
            *("--registry", registry),
        ),
    )


async def _evaluation(judge: httpx.AsyncClient, response: str) -> Evaluation:
    answer = await judge.post("/evaluate", json={"context": CONTEXT, "response": response})
    assert answer.status_code == httpx.codes.OK, answer.text
    return Evaluation.model_validate_json(answer.content)


async def _settled(judge: httpx.AsyncClient) -> dict[str, Any]:
    """Return what the judge knows of the checkpoint once it serves it or has refused it."""
    with anyio.fail_after(300):
        while True:
            seen = await judge.get(f"/checkpoints/{VERSION}")
            known: dict[str, Any] = seen.json()
            if seen.status_code == httpx.codes.OK and known["state"] in ("active", "rejected"):
                return known
            await anyio.sleep(0.2)


async def test_what_the_trainer_publishes_the_running_judge_tries_and_serves(
    engine: RealEngine, tmp_path: Path
) -> None:
    work, registry = tmp_path / "work", tmp_path / "registry"
    work.mkdir()
    registry.mkdir()
    _prepare(work, engine.model.path)
    settings = judge_settings(engine, checkpoints=CheckpointSettings(folder=registry, promotion="automatic"))
    async with ready_judge(engine, settings) as judge:
        assert (await _evaluation(judge, GOOD)).checkpoint.startswith("base:")
        for command in _commands(work, engine.model.path, registry):
            await anyio.to_thread.run_sync(_trainer, *command)
        known = await _settled(judge)
        assert known["state"] == "active", known
        steps = [step["to"] for step in known["history"]]
        assert (steps[0], steps[-3:]) == ("discovered", ["loading", "canary", "active"])
        assert "verified" in steps
        good, bad = await _evaluation(judge, GOOD), await _evaluation(judge, BAD)
        audit = (await judge.get("/checkpoints")).json()["audit"]
    assert good.checkpoint == bad.checkpoint == known["label"]
    assert good.overall > bad.overall
    assert [(entry["action"], entry["version"], entry["by"]) for entry in audit] == [("promote", VERSION, "automatic")]
    index = RegistryIndex.model_validate_json((registry / INDEX_FILE).read_bytes())
    assert [(entry.version, entry.digest) for entry in index.checkpoints] == [(VERSION, known["digest"])]
