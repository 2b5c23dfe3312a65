"""Write a checkpoint folder (docs/checkpoints.md): files, their digests in the manifest, all at once or not at all.

Identical inputs give identical bytes: nothing here knows the time, the user or a path.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.checkpoint.manifest import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    AGREEMENT_FILE,
    CALIBRATION_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    REFERENCE_FILE,
    BaseModelReference,
    CheckpointManifest,
    TrainingRecord,
)
from services.checkpoint.reference import ScoreReference
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.rubric.rubric import Rubric
from services.rubric.template import PromptTemplate
from trainer.agreement.report import AgreementReport
from trainer.errors import PackagingError
from trainer.packaging.promotion import reasons_against

_VOLATILE_CONFIG: dict[str, Any] = {"base_model_name_or_path": None, "revision": None}
"""Where the base lay when it was trained: of no use elsewhere, and different on every machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointParts:
    """All that a checkpoint is made of.

    Attributes:
        version: its name in a registry.
        adapter: PEFT's folder.
        base_model: what the adapter belongs on.
        level_token_ids: the tokens of the levels 1 to 5 in that model.
        method: the last training stage.
        configuration: the run's resolved configuration, as saved beside the weights.
        reference_rater: whose ratings were learnt.
        calibration: fitted on held-out ratings.
        golden: replies with the scores that the packaged checkpoint must give.
        agreement: measured on questions that training never saw.
        incumbent: the agreement of the checkpoint to be replaced, if there is one.
        reference: how its scores are spread over held-out replies; without it, drift cannot be told from the start.
    """

    version: str
    adapter: Path
    base_model: BaseModelReference
    rubric: Rubric
    template: PromptTemplate
    level_token_ids: tuple[int, int, int, int, int]
    method: Literal["sft", "grpo"]
    configuration: Path
    reference_rater: str
    calibration: Calibration
    golden: Sequence[GoldenCase]
    agreement: AgreementReport
    incumbent: AgreementReport | None = None
    reference: ScoreReference | None = None


def package(parts: CheckpointParts, registry: Path) -> Path:
    """Write the checkpoint as `registry/<version>` and return that folder.

    Raises:
        PackagingError: a part is missing or unusable, or the version exists already, from another packager of this
            moment too: checkpoints are immutable.
    """
    target = registry / parts.version
    if target.exists():
        raise PackagingError(f"{target} exists; checkpoints are immutable, choose another version")
    payload = _payload(parts)
    manifest = _manifest(parts, payload)
    registry.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{parts.version}.", suffix=".partial", dir=registry) as scratch:
        folder = Path(scratch) / parts.version
        folder.mkdir()
        for name, content in {**payload, MANIFEST_FILE: manifest.to_bytes()}.items():
            (folder / name).write_bytes(content)
        _sync(folder)
        try:
            folder.rename(target)  # staged beside it, so this is one step; never a move into what is there
        except OSError as error:
            raise PackagingError(
                f"{target} cannot be published: {error.strerror}; if another packager was first, choose another version"
            ) from error
    return target


def _payload(parts: CheckpointParts) -> dict[str, bytes]:
    golden = "".join(case.model_dump_json() + "\n" for case in parts.golden)
    if not golden:
        raise PackagingError("a checkpoint needs golden cases: without them no judge can prove what it loaded")
    adapter_config = _adapter_config(parts.adapter) | _VOLATILE_CONFIG
    reference = {}
    if parts.reference is not None:
        reference[REFERENCE_FILE] = (parts.reference.model_dump_json(indent=2) + "\n").encode()
    return reference | {
        ADAPTER_FILE: _read(parts.adapter / ADAPTER_FILE),
        ADAPTER_CONFIG_FILE: (json.dumps(adapter_config, indent=2, sort_keys=True) + "\n").encode(),
        CALIBRATION_FILE: (parts.calibration.model_dump_json(indent=2) + "\n").encode(),
        GOLDEN_FILE: golden.encode(),
        AGREEMENT_FILE: (parts.agreement.to_json() + "\n").encode(),
    }


def _manifest(parts: CheckpointParts, payload: Mapping[str, bytes]) -> CheckpointManifest:
    against = reasons_against(parts.agreement, parts.incumbent)
    configuration = _read(parts.configuration)
    return CheckpointManifest(
        version=parts.version,
        base_model=parts.base_model,
        rubric=parts.rubric,
        rubric_sha256=parts.rubric.digest,
        template=parts.template,
        template_sha256=parts.template.digest,
        level_token_ids=parts.level_token_ids,
        lora_rank=int(_adapter_config(parts.adapter)["r"]),
        training=TrainingRecord(
            method=parts.method,
            configuration_sha256=hashlib.sha256(configuration).hexdigest(),
            data_sha256=json.loads(configuration)["data_sha256"],
            reference_rater=parts.reference_rater,
        ),
        metrics=_metrics(parts.agreement),
        promotable=not against,
        not_promotable_because="; ".join(against) or None,
        files={name: hashlib.sha256(content).hexdigest() for name, content in payload.items()},
    )


def _metrics(report: AgreementReport) -> dict[Dimension, float]:
    values = {name: report.per_answer[name].icc_a1.value for name in DIMENSIONS if name in report.per_answer}
    return {name: round(value, 4) for name, value in values.items() if value is not None}


def _adapter_config(adapter: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(_read(adapter / ADAPTER_CONFIG_FILE))
    except ValueError as error:
        raise PackagingError(f"{adapter / ADAPTER_CONFIG_FILE} is not JSON; train again") from error
    return config


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackagingError(f"{path} cannot be read: {error.strerror}; a checkpoint needs it") from error


def _sync(folder: Path) -> None:
    """Flush files and folder to disk, so that the rename never shows a half-written checkpoint after a crash."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
