"""Checkpoint folders in the layout that the packager writes, for tests that need no engine; and how to spoil one."""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.checkpoint.manifest import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    AGREEMENT_FILE,
    CALIBRATION_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    PAYLOAD_FILES,
    REFERENCE_FILE,
    BaseModelReference,
    CheckpointManifest,
    TrainingRecord,
)
from services.checkpoint.reference import ScoreReference
from services.contracts.dimensions import DIMENSIONS
from services.rubric.rubric import default_rubric
from services.rubric.template import PromptTemplate

_ZEROS = "0" * 64
FINGERPRINT = "f" * 64
LEVEL_IDS = (11, 12, 13, 14, 15)


def golden_case(name: str, score: float, base: float) -> GoldenCase:
    """Return a case in which all dimensions score alike."""
    return GoldenCase(
        id=name,
        context=f"I am low today, {name}.",
        response="What happened?",
        scores=dict.fromkeys(DIMENSIONS, score),
        base_scores=dict.fromkeys(DIMENSIONS, base),
        tolerance=0.2,
    )


def write_checkpoint(
    folder: Path,
    *,
    rank: int = 4,
    fingerprint: str = FINGERPRINT,
    level_ids: Sequence[int] = LEVEL_IDS,
    golden: Sequence[GoldenCase] = (golden_case("a", 4.0, 2.0), golden_case("b", 4.0, 2.0)),
    promotable: bool = True,
    reference: ScoreReference | None = None,
) -> CheckpointManifest:
    """Write a sound checkpoint whose adapter is zeros into `folder`, whose name is its version."""
    scratch = folder.with_name(f".{folder.name}.partial")
    scratch.mkdir(parents=True)
    (scratch / ADAPTER_FILE).write_bytes(adapter_bytes(rank))
    (scratch / ADAPTER_CONFIG_FILE).write_text(json.dumps({"peft_type": "LORA", "r": rank, "bias": "none"}))
    manifest = write_documents(
        scratch,
        folder.name,
        base_model=BaseModelReference(name="tiny", fingerprint=fingerprint),
        level_ids=level_ids,
        golden=golden,
        rank=rank,
        promotable=promotable,
        reference=reference,
    )
    scratch.rename(folder)
    return manifest


def write_documents(
    folder: Path,
    version: str,
    *,
    base_model: BaseModelReference,
    level_ids: Sequence[int],
    golden: Sequence[GoldenCase],
    rank: int,
    promotable: bool = True,
    reference: ScoreReference | None = None,
) -> CheckpointManifest:
    """Write what belongs beside an adapter in `folder`, manifest included, and return the manifest."""
    (folder / CALIBRATION_FILE).write_text(Calibration.identity().model_dump_json())
    (folder / GOLDEN_FILE).write_text("".join(case.model_dump_json() + "\n" for case in golden))
    (folder / AGREEMENT_FILE).write_text(json.dumps({"note": f"not measured: {version} is made for a test"}))
    files: tuple[str, ...] = PAYLOAD_FILES
    if reference is not None:
        (folder / REFERENCE_FILE).write_text(reference.model_dump_json())
        files += (REFERENCE_FILE,)
    rubric, template = default_rubric(), PromptTemplate()
    first, second, third, fourth, fifth = level_ids
    manifest = CheckpointManifest(
        version=version,
        base_model=base_model,
        rubric=rubric,
        rubric_sha256=rubric.digest,
        template=template,
        template_sha256=template.digest,
        level_token_ids=(first, second, third, fourth, fifth),
        lora_rank=rank,
        training=TrainingRecord(
            method="sft", configuration_sha256=_ZEROS, data_sha256={"none": _ZEROS}, reference_rater="nobody"
        ),
        metrics=dict.fromkeys(DIMENSIONS, 0.0),
        promotable=promotable,
        not_promotable_because=None if promotable else "a test says so",
        files={name: _sha256(folder / name) for name in files},
    )
    (folder / MANIFEST_FILE).write_bytes(manifest.to_bytes())
    return manifest


def adapter_bytes(rank: int, *, change: Callable[[dict[str, dict[str, object]]], None] | None = None) -> bytes:
    """Return a safetensors file of one LoRA pair of zeros; `change` edits its header."""
    inputs = outputs = 8
    size = rank * inputs * 2
    header: dict[str, dict[str, object]] = {
        "base_model.model.q_proj.lora_A.weight": {
            "dtype": "BF16",
            "shape": [rank, inputs],
            "data_offsets": [0, size],
        },
        "base_model.model.q_proj.lora_B.weight": {
            "dtype": "BF16",
            "shape": [outputs, rank],
            "data_offsets": [size, 2 * size],
        },
    }
    if change is not None:
        change(header)
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(2 * size)


def edit_manifest(folder: Path, **fields: object) -> None:
    """Change top-level fields of the manifest as it lies there; what it then says need not be true."""
    content = json.loads((folder / MANIFEST_FILE).read_bytes())
    (folder / MANIFEST_FILE).write_text(json.dumps(content | fields))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Replace a payload file and its digest in the manifest, as a careful attacker would."""
    (folder / name).write_bytes(content)
    files: Mapping[str, str] = json.loads((folder / MANIFEST_FILE).read_bytes())["files"]
    edit_manifest(folder, files={**files, name: _sha256(folder / name)})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
