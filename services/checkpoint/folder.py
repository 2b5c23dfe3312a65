"""Verification of a checkpoint folder before anything loads it: what it holds is exactly what its manifest says.

Bounded in time and memory whatever the folder holds: sizes are checked before reading, links and devices are never
opened, and JSON is parsed only from small files. Whether a judge can serve it (base model, rank) is the judge's check.
"""

import os
import string
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from services.checkpoint.adapter_header import adapter_rank
from services.checkpoint.bounded_read import opened_file, opened_folder, read_bytes, sha256_of
from services.checkpoint.calibration import Calibration
from services.checkpoint.errors import CheckpointRejected
from services.checkpoint.golden import GoldenCase
from services.checkpoint.manifest import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    CALIBRATION_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    OPTIONAL_FILES,
    PAYLOAD_FILES,
    REFERENCE_FILE,
    CheckpointManifest,
)
from services.checkpoint.reference import ScoreReference
from services.contracts.checkpoints import RejectionReason as Reason
from services.contracts.dimensions import DIMENSIONS

M = TypeVar("M", bound=BaseModel)

MAX_MANIFEST_BYTES: Final = 256 << 10
MAX_DOCUMENT_BYTES: Final = 16 << 20
"""Of calibration, golden set and agreement report; they are some kilobytes."""
MAX_GOLDEN_CASES: Final = 512
MAX_ENTRIES: Final = 32
MAX_TEMPLATE_FIELDS: Final = 16
_READING_SUFFIXES: Final = (".md", ".html")
"""Files beyond the payload may only be for people: an engine could take others in an adapter's folder as input."""
_PICKLE_SUFFIXES: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A folder whose content is what its manifest says."""

    path: Path
    manifest: CheckpointManifest
    calibration: Calibration
    golden: tuple[GoldenCase, ...]
    reference: ScoreReference | None


class _AdapterConfig(BaseModel):
    """The part of `adapter_config.json` that decides what an engine does; other keys are PEFT's records."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    peft_type: str
    r: int
    bias: str = "none"
    use_dora: bool = False
    modules_to_save: list[str] | None = None
    rank_pattern: dict[str, int] | None = None


def max_bytes_of(name: str, max_adapter_bytes: int) -> int:
    """Return how long a checkpoint's file of that name may be."""
    if name == MANIFEST_FILE:
        return MAX_MANIFEST_BYTES
    return max_adapter_bytes if name == ADAPTER_FILE else MAX_DOCUMENT_BYTES


def verify_folder(path: Path, *, max_adapter_bytes: int) -> VerifiedCheckpoint:
    """Return the checkpoint in `path`, whose name must be the version; blocks for as long as hashing takes.

    Raises:
        CheckpointRejected: with the first reason found.
    """
    with opened_folder(path) as folder:
        manifest = _manifest(folder, path.name)
        _require_listed(folder, manifest)
        _require_digests(folder, manifest, max_adapter_bytes)
        _require_adapter(folder, manifest, max_adapter_bytes)
        calibration = _parse(Calibration, folder, CALIBRATION_FILE)
        golden = _golden(folder)
        reference = _parse(ScoreReference, folder, REFERENCE_FILE) if REFERENCE_FILE in manifest.files else None
    return VerifiedCheckpoint(path, manifest, calibration, golden, reference)


def _manifest(folder: int, name: str) -> CheckpointManifest:
    raw = read_bytes(folder, MANIFEST_FILE, MAX_MANIFEST_BYTES)
    try:
        manifest = CheckpointManifest.model_validate_json(raw)
    except ValidationError as error:
        raise CheckpointRejected(Reason.MANIFEST_INVALID, f"{MANIFEST_FILE}: {_places(error)}") from error
    if manifest.version != name:
        raise CheckpointRejected(Reason.MANIFEST_INVALID, f"the folder {name} holds version {manifest.version}")
    if manifest.rubric.digest != manifest.rubric_sha256:
        raise CheckpointRejected(Reason.RUBRIC_MISMATCH, "the rubric is not the one whose digest the manifest names")
    if manifest.template.digest != manifest.template_sha256:
        raise CheckpointRejected(Reason.TEMPLATE_MISMATCH, "the template is not the one whose digest it names")
    template = manifest.template
    _require_plain(template.dimension, {"number", "name", "definition", "low", "high"})
    _require_plain(template.turn[0], {"role"})
    for file in manifest.files:
        if PurePosixPath(file).name != file or file in ("", ".", "..") or "\x00" in file or "\\" in file:
            raise CheckpointRejected(Reason.PATH_ESCAPE, "the manifest names a file outside the folder")
    return manifest


def _require_plain(text: str, fields: AbstractSet[str]) -> None:
    """Refuse a format string that does more than name `fields`: padding alone could fill the memory."""
    try:
        found = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise CheckpointRejected(Reason.MANIFEST_INVALID, f"a template text is malformed: {error}") from error
    if len(found) > MAX_TEMPLATE_FIELDS or any(name not in fields or spec or how for name, spec, how in found):
        raise CheckpointRejected(Reason.MANIFEST_INVALID, f"a template text may only name {', '.join(sorted(fields))}")


def _require_listed(folder: int, manifest: CheckpointManifest) -> None:
    """Refuse a folder whose files are not exactly the manifest's."""
    with os.scandir(folder) as entries:
        found = []
        for entry in entries:
            found.append(entry.name)
            if len(found) > MAX_ENTRIES:
                raise CheckpointRejected(Reason.UNLISTED_FILE, f"the folder holds more than {MAX_ENTRIES} entries")
    if pickled := sorted(name for name in found if name.lower().endswith(_PICKLE_SUFFIXES)):
        raise CheckpointRejected(Reason.NOT_SAFETENSORS, f"{_shown(pickled[0])} may hold pickled code")
    listed = set(manifest.files)
    if missing := sorted(set(PAYLOAD_FILES) - listed):
        raise CheckpointRejected(Reason.MISSING_FILE, f"the manifest does not list {missing[0]}")
    extra = sorted(set(found) - listed - {MANIFEST_FILE})
    if extra:
        raise CheckpointRejected(Reason.UNLISTED_FILE, f"{_shown(extra[0])} is not in the manifest")
    known = {*PAYLOAD_FILES, *OPTIONAL_FILES}
    odd = sorted(name for name in listed - known if not name.endswith(_READING_SUFFIXES))
    if odd:
        raise CheckpointRejected(Reason.UNLISTED_FILE, f"{_shown(odd[0])} has no place in a checkpoint")


def _require_digests(folder: int, manifest: CheckpointManifest, max_adapter_bytes: int) -> None:
    for name, expected in manifest.files.items():
        limit = max_bytes_of(name, max_adapter_bytes)
        with opened_file(folder, name, limit) as file:
            if sha256_of(file, name, limit) != expected:
                raise CheckpointRejected(Reason.DIGEST_MISMATCH, f"{_shown(name)} is not the file that was packaged")


def _require_adapter(folder: int, manifest: CheckpointManifest, max_adapter_bytes: int) -> None:
    config = _parse(_AdapterConfig, folder, ADAPTER_CONFIG_FILE)
    if config.peft_type != "LORA" or config.bias != "none" or config.use_dora or config.modules_to_save:
        raise CheckpointRejected(Reason.PAYLOAD_INVALID, f"{ADAPTER_CONFIG_FILE} describes more than plain LoRA")
    with opened_file(folder, ADAPTER_FILE, max_adapter_bytes) as file:
        rank = adapter_rank(file, os.fstat(file.fileno()).st_size)
    declared = max([config.r, *(config.rank_pattern or {}).values()])
    if not rank == declared == manifest.lora_rank:
        raise CheckpointRejected(
            Reason.PAYLOAD_INVALID, f"ranks differ: weights {rank}, configuration {declared}, {manifest.lora_rank} said"
        )


def _parse(kind: type[M], folder: int, name: str) -> M:
    try:
        return kind.model_validate_json(read_bytes(folder, name, MAX_DOCUMENT_BYTES))
    except ValidationError as error:
        raise CheckpointRejected(Reason.PAYLOAD_INVALID, f"{name}: {_places(error)}") from error


def _golden(folder: int) -> tuple[GoldenCase, ...]:
    lines = [line for line in read_bytes(folder, GOLDEN_FILE, MAX_DOCUMENT_BYTES).split(b"\n") if line.strip()]
    if not 1 <= len(lines) <= MAX_GOLDEN_CASES:
        raise CheckpointRejected(Reason.PAYLOAD_INVALID, f"{GOLDEN_FILE} holds {len(lines)} cases")
    try:
        cases = tuple(GoldenCase.model_validate_json(line) for line in lines)
    except ValidationError as error:
        raise CheckpointRejected(Reason.PAYLOAD_INVALID, f"{GOLDEN_FILE}: {_places(error)}") from error
    if any(name not in scores for case in cases for scores in (case.scores, case.base_scores) for name in DIMENSIONS):
        raise CheckpointRejected(Reason.PAYLOAD_INVALID, f"{GOLDEN_FILE}: a case lacks a dimension")
    return cases


def _places(error: ValidationError) -> str:
    """Name the fields that are wrong, without their content."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{_shown('.'.join(map(str, item['loc']))) or 'its start'}: {item['type']}" for item in found[:3])


def _shown(name: str) -> str:
    """Return a stranger's file name in a form fit for logs."""
    return "".join(char if char.isprintable() and char.isascii() else "?" for char in name)[:80]
