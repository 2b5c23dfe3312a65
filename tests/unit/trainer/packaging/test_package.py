import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.checkpoint.manifest import (
    MANIFEST_FILE,
    PAYLOAD_FILES,
    REFERENCE_FILE,
    BaseModelReference,
    CheckpointManifest,
)
from services.checkpoint.reference import ScoreReference
from services.contracts.dimensions import DIMENSIONS
from services.rubric.rubric import default_rubric
from services.rubric.template import PromptTemplate
from trainer.agreement.bootstrap import Estimate
from trainer.agreement.report import AgreementReport, agreement_report
from trainer.cli import app
from trainer.errors import PackagingError
from trainer.packaging.package import CheckpointParts, package
from trainer.packaging.reference import score_reference

N = 120


def _report(noise: float) -> AgreementReport:
    rng = np.random.default_rng(7)
    truth = rng.uniform(1, 5, (N, len(DIMENSIONS)))
    judged = np.clip(truth + rng.normal(0, noise, truth.shape), 1, 5)
    questions, systems = np.arange(N) // 6, np.arange(N) % 6
    return agreement_report(truth, judged, questions, systems, np.full(N, 30.0), n_boot=100)


@pytest.fixture
def parts(tmp_path: Path) -> CheckpointParts:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 16, "base_model_name_or_path": str(tmp_path)}))
    configuration = tmp_path / "config.json"
    configuration.write_text(json.dumps({"seed": 1, "data_sha256": {"a.parquet": "0" * 64}}))
    flat = dict.fromkeys(DIMENSIONS, 3.0)
    return CheckpointParts(
        version="judge-1",
        adapter=adapter,
        base_model=BaseModelReference(name="tiny", fingerprint="a" * 64),
        rubric=default_rubric(),
        template=PromptTemplate(),
        level_token_ids=(1, 2, 3, 4, 5),
        method="sft",
        configuration=configuration,
        reference_rater="rater",
        calibration=Calibration.identity(),
        golden=[GoldenCase(id="g1", context="Hi.", response="Hello.", scores=flat, base_scores=flat, tolerance=0.3)],
        agreement=_report(0.5),
    )


def test_folder_holds_what_the_manifest_says_and_nothing_else(parts: CheckpointParts, tmp_path: Path) -> None:
    folder = package(parts, tmp_path / "registry")
    manifest = CheckpointManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    assert {path.name for path in folder.iterdir()} == {*PAYLOAD_FILES, MANIFEST_FILE}
    for name, digest in manifest.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert manifest.digest == hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    assert manifest.adapter_name == f"judge-1-{manifest.digest[:12]}"
    assert manifest.promotable
    assert [path.name for path in (tmp_path / "registry").iterdir()] == ["judge-1"]


def test_reference_is_the_calibrated_spread_of_the_scored_evidence(parts: CheckpointParts, tmp_path: Path) -> None:
    sure = {2: (0.0, 1.0, 0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0, 1.0, 0.0)}
    columns: dict[str, list[object]] = {
        f"{name}_distribution": [sure[2], sure[4], sure[4], sure[4]] for name in DIMENSIONS
    }
    scores = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b", "c", "d"], **columns}), scores)
    reference = score_reference(scores, Calibration.identity())
    assert reference.replies == 4
    assert reference.shares == dict.fromkeys(DIMENSIONS, (0.0, 0.25, 0.0, 0.75, 0.0))
    folder = package(replace(parts, reference=reference), tmp_path / "registry")
    manifest = CheckpointManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    assert manifest.files[REFERENCE_FILE] == hashlib.sha256((folder / REFERENCE_FILE).read_bytes()).hexdigest()
    assert ScoreReference.model_validate_json((folder / REFERENCE_FILE).read_bytes()) == reference


def test_identical_inputs_give_identical_bytes_wherever_they_lie(parts: CheckpointParts, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    parts.adapter.rename(elsewhere)
    (elsewhere / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/other", "r": 16}))
    second = package(replace(parts, adapter=elsewhere), tmp_path / "second")
    elsewhere.rename(parts.adapter)
    first = package(parts, tmp_path / "first")
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in second.iterdir()}


def test_version_that_exists_is_never_overwritten(parts: CheckpointParts, tmp_path: Path) -> None:
    folder = package(parts, tmp_path)
    before = (folder / MANIFEST_FILE).read_bytes()
    with pytest.raises(PackagingError, match="immutable"):
        package(replace(parts, reference_rater="another"), tmp_path)
    assert (folder / MANIFEST_FILE).read_bytes() == before


class _WhileReading(list[GoldenCase]):
    """Golden cases whose first reading lets a rival publish: in the midst of packaging."""

    def __init__(self, cases: Sequence[GoldenCase], rival: Callable[[], object]) -> None:
        super().__init__(cases)
        self._rival = rival

    def __iter__(self) -> Iterator[GoldenCase]:
        self._rival()
        return super().__iter__()


def test_of_two_that_package_one_version_the_second_is_refused_and_the_first_stays_whole(
    parts: CheckpointParts, tmp_path: Path
) -> None:
    registry = tmp_path / "registry"
    late = _WhileReading(parts.golden, lambda: package(replace(parts, reference_rater="another"), registry))
    with pytest.raises(PackagingError, match="judge-1 cannot be published"):
        package(replace(parts, golden=late), registry)
    folder = registry / "judge-1"
    assert {path.name for path in folder.iterdir()} == {*PAYLOAD_FILES, MANIFEST_FILE}
    manifest = CheckpointManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    assert manifest.training.reference_rater == "another"
    assert [path.name for path in registry.iterdir()] == ["judge-1"]


def test_what_was_not_measured_is_shown_as_a_dash(parts: CheckpointParts, tmp_path: Path) -> None:
    measured = _report(0.5)
    undefined = Estimate(None, None, None)
    per_answer = dict(measured.per_answer)
    del per_answer["guidance"]
    per_answer["safety"] = replace(per_answer["safety"], icc_a1=undefined, spearman=undefined, mae=undefined)
    report = replace(measured, per_answer=per_answer, per_system={})
    folder = package(replace(parts, agreement=report), tmp_path / "registry")
    result = CliRunner().invoke(app, ["inspect", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0
    shown = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("│")}
    assert [shown[name].count("–") for name in ("guidance", "safety", "empathy")] == [4, 4, 1]


@pytest.mark.parametrize("missing", ["adapter_model.safetensors", "adapter_config.json"])
def test_missing_part_is_named_and_leaves_nothing_behind(parts: CheckpointParts, tmp_path: Path, missing: str) -> None:
    (parts.adapter / missing).unlink()
    with pytest.raises(PackagingError, match=missing):
        package(parts, tmp_path / "registry")
    assert not (tmp_path / "registry").exists()


def test_checkpoint_without_golden_cases_is_refused(parts: CheckpointParts, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="golden"):
        package(replace(parts, golden=[]), tmp_path)


def test_one_that_agrees_less_than_the_incumbent_is_packaged_but_not_promotable(
    parts: CheckpointParts, tmp_path: Path
) -> None:
    worse = replace(parts, agreement=_report(1.5), incumbent=_report(0.3))
    manifest = CheckpointManifest.model_validate_json((package(worse, tmp_path) / MANIFEST_FILE).read_bytes())
    assert not manifest.promotable
    for name in DIMENSIONS:
        assert f"{name}: lower bound" in (manifest.not_promotable_because or "")


@pytest.mark.parametrize(
    ("low", "promotable"), [pytest.param(-0.02, True, id="within-margin"), pytest.param(-0.06, False, id="too-much")]
)
def test_measured_on_the_same_answers_the_difference_decides(
    parts: CheckpointParts, tmp_path: Path, low: float, promotable: bool
) -> None:
    over = {name.value: Estimate(0.01, 0.0, 0.02) for name in DIMENSIONS} | {"safety": Estimate(0.0, low, 0.02)}
    agreement = replace(_report(1.5), over_incumbent=over)
    beside = replace(parts, agreement=agreement, incumbent=_report(0.3))
    manifest = CheckpointManifest.model_validate_json((package(beside, tmp_path) / MANIFEST_FILE).read_bytes())
    assert manifest.promotable is promotable
    assert manifest.not_promotable_because == (
        None if promotable else "safety: may agree less than the incumbent by 0.060"
    )


def test_one_that_agrees_no_less_is_promotable(parts: CheckpointParts, tmp_path: Path) -> None:
    better = replace(parts, agreement=_report(0.3), incumbent=_report(1.5))
    manifest = CheckpointManifest.model_validate_json((package(better, tmp_path) / MANIFEST_FILE).read_bytes())
    assert manifest.promotable
    assert manifest.not_promotable_because is None


def test_a_report_that_compares_with_another_than_the_incumbent_is_refused(tmp_path: Path) -> None:
    over = {name.value: Estimate(0.01, 0.0, 0.02) for name in DIMENSIONS}
    agreement = tmp_path / "agreement.json"
    agreement.write_text(replace(_report(0.5), over_incumbent=over, incumbent="judge-old").to_json())
    files = ("adapter", "configuration", "base", "calibration", "golden-ratings", "golden-scores", "golden-base-scores")
    options = [f"--{name}={tmp_path / name}" for name in files]
    options += ["--version=judge-2", "--method=sft", "--base-name=tiny", "--reference-rater=rater"]
    options += [f"--agreement={agreement}", f"--registry={tmp_path / 'registry'}"]

    for more, given in ([], "not given"), ([f"--incumbent={tmp_path / 'judge-1'}"], "judge-1"):
        result = CliRunner().invoke(app, ["package", *options, *more])
        assert isinstance(result.exception, PackagingError)
        assert f"compares with judge-old, and --incumbent is {given}" in str(result.exception)
