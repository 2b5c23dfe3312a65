import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.checkpoint.adapter_header import MAX_HEADER_BYTES, adapter_rank
from services.checkpoint.errors import CheckpointRejected
from services.checkpoint.folder import MAX_DOCUMENT_BYTES, MAX_MANIFEST_BYTES, verify_folder
from services.checkpoint.manifest import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    AGREEMENT_FILE,
    CALIBRATION_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    REFERENCE_FILE,
)
from services.checkpoint.reference import ScoreReference
from services.contracts.checkpoints import RejectionReason as Reason
from services.contracts.dimensions import DIMENSIONS
from services.rubric.template import PromptTemplate
from tests.support.checkpoint_folders import adapter_bytes, edit_manifest, replace_file, write_checkpoint

LIMIT = 1 << 20
TRAINER = Path(__file__).parents[4] / "trainer"
RELEASED = sorted(path.parent for path in TRAINER.glob(f"released*/*/{MANIFEST_FILE}"))
Spoil = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "registry" / "v1")
    return tmp_path / "registry" / "v1"


def _sparse(path: Path, size_bytes: int) -> None:
    """A file that says it is huge and takes no room."""
    with path.open("wb") as file:
        file.truncate(size_bytes)


def _link(name: str, target: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return spoil


def _socket(folder: Path) -> None:
    (folder / ADAPTER_FILE).unlink()
    here = Path.cwd()
    os.chdir(folder)  # a socket's path may be some hundred characters long at most
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(ADAPTER_FILE)
    finally:
        os.chdir(here)


def _fifo(folder: Path) -> None:
    (folder / GOLDEN_FILE).unlink()
    os.mkfifo(folder / GOLDEN_FILE)


def _template(**change: object) -> Spoil:
    template = PromptTemplate.model_validate(PromptTemplate().model_dump() | change)
    return lambda folder: edit_manifest(
        folder, template=template.model_dump(mode="json"), template_sha256=template.digest
    )


def _files(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        files = json.loads((folder / MANIFEST_FILE).read_bytes())["files"]
        edit_manifest(folder, files={**files, name: "0" * 64})

    return spoil


def _calibrated(text: bytes) -> Spoil:
    """Put `text` where the first dimension's calibrated scores begin."""
    return lambda folder: replace_file(
        folder, CALIBRATION_FILE, (folder / CALIBRATION_FILE).read_bytes().replace(b"[1.0,", b"[" + text + b",")
    )


def _golden_score(text: bytes) -> Spoil:
    return lambda folder: replace_file(
        folder, GOLDEN_FILE, (folder / GOLDEN_FILE).read_bytes().replace(b":4.0", b":" + text)
    )


def _adapter(change: Callable[[dict[str, dict[str, object]]], None]) -> Spoil:
    return lambda folder: replace_file(folder, ADAPTER_FILE, adapter_bytes(4, change=change))


def _set(name: str, **fields: object) -> Spoil:
    return lambda folder: replace_file(
        folder, name, json.dumps(json.loads((folder / name).read_bytes()) | fields).encode()
    )


def _crowd(folder: Path) -> None:
    for number in range(1000):
        (folder / f"{number}.md").touch()


def _flip(folder: Path) -> None:
    (folder / ADAPTER_FILE).write_bytes(adapter_bytes(4)[:-1] + b"x")


def _b_key(header: dict[str, dict[str, object]]) -> dict[str, object]:
    return header["base_model.model.q_proj.lora_B.weight"]


def _pickle(header: dict[str, dict[str, object]]) -> None:
    header["os.system"] = header.pop("base_model.model.q_proj.lora_B.weight")


HOSTILE: list[tuple[str, Reason, Spoil]] = [
    ("adapter gone", Reason.MISSING_FILE, lambda f: (f / ADAPTER_FILE).unlink()),
    ("manifest gone", Reason.MISSING_FILE, lambda f: (f / MANIFEST_FILE).unlink()),
    ("manifest lists no golden set", Reason.MISSING_FILE, lambda f: edit_manifest(f, files={})),
    ("manifest of 10 GB", Reason.OVERSIZE, lambda f: _sparse(f / MANIFEST_FILE, 10 << 30)),
    ("adapter of 100 GB", Reason.OVERSIZE, lambda f: _sparse(f / ADAPTER_FILE, 100 << 30)),
    ("agreement of 1 GB", Reason.OVERSIZE, lambda f: _sparse(f / AGREEMENT_FILE, 1 << 30)),
    ("manifest is a link outside", Reason.NOT_A_REGULAR_FILE, _link(MANIFEST_FILE, "/etc/passwd")),
    ("adapter is a link beside", Reason.NOT_A_REGULAR_FILE, _link(ADAPTER_FILE, GOLDEN_FILE)),
    ("adapter is a device", Reason.NOT_A_REGULAR_FILE, _link(ADAPTER_FILE, "/dev/zero")),
    ("golden set is a pipe", Reason.NOT_A_REGULAR_FILE, _fifo),
    ("adapter is a socket", Reason.NOT_A_REGULAR_FILE, _socket),
    ("manifest names ../", Reason.PATH_ESCAPE, _files("../v2/judge.json")),
    ("manifest names an absolute path", Reason.PATH_ESCAPE, _files("/etc/passwd")),
    ("manifest names a NUL", Reason.PATH_ESCAPE, _files("a\x00b")),
    ("manifest names a backslash", Reason.PATH_ESCAPE, _files("..\\x")),
    ("pickle weights beside", Reason.NOT_SAFETENSORS, lambda f: _sparse(f / "adapter_model.bin", 10)),
    ("unlisted tokenizer", Reason.UNLISTED_FILE, lambda f: _sparse(f / "tokenizer.json", 10)),
    ("unlisted folder", Reason.UNLISTED_FILE, lambda f: (f / "checkpoint-100").mkdir()),
    ("a thousand files", Reason.UNLISTED_FILE, _crowd),
    ("manifest is not JSON", Reason.MANIFEST_INVALID, lambda f: _sparse(f / MANIFEST_FILE, 100)),
    ("manifest nests deeply", Reason.MANIFEST_INVALID, lambda f: _nest(f / MANIFEST_FILE)),
    ("manifest has an unknown field", Reason.MANIFEST_INVALID, lambda f: edit_manifest(f, hook="rm")),
    ("manifest of another version", Reason.MANIFEST_INVALID, lambda f: edit_manifest(f, version="v2")),
    ("template pads without end", Reason.MANIFEST_INVALID, _template(dimension="{number:>999999999}")),
    ("template reaches into objects", Reason.MANIFEST_INVALID, _template(dimension="{name.__class__}")),
    ("template repeats without end", Reason.MANIFEST_INVALID, _template(dimension="{definition}" * 1000)),
    ("another rubric than said", Reason.RUBRIC_MISMATCH, lambda f: edit_manifest(f, rubric_sha256="1" * 64)),
    ("another template than said", Reason.TEMPLATE_MISMATCH, lambda f: edit_manifest(f, template_sha256="1" * 64)),
    ("a flipped byte", Reason.DIGEST_MISMATCH, _flip),
    ("zip in safetensors' place", Reason.NOT_SAFETENSORS, lambda f: replace_file(f, ADAPTER_FILE, b"PK\x03\x04" * 99)),
    ("empty adapter", Reason.NOT_SAFETENSORS, lambda f: replace_file(f, ADAPTER_FILE, b"")),
    ("other tensors", Reason.NOT_SAFETENSORS, _adapter(_pickle)),
    ("64-bit tensors", Reason.NOT_SAFETENSORS, _adapter(lambda h: _b_key(h).update(dtype="F64"))),
    ("overlapping tensors", Reason.NOT_SAFETENSORS, _adapter(lambda h: _b_key(h).update(data_offsets=[0, 64]))),
    ("tensors beyond the end", Reason.NOT_SAFETENSORS, _adapter(lambda h: _b_key(h).update(shape=[1 << 40, 4]))),
    ("configuration says more than LoRA", Reason.PAYLOAD_INVALID, _set(ADAPTER_CONFIG_FILE, modules_to_save=["x"])),
    ("configuration says another rank", Reason.PAYLOAD_INVALID, _set(ADAPTER_CONFIG_FILE, r=8)),
    ("golden set is empty", Reason.PAYLOAD_INVALID, lambda f: replace_file(f, GOLDEN_FILE, b"\n")),
    ("reference is no distribution", Reason.PAYLOAD_INVALID, lambda f: replace_file(f, REFERENCE_FILE, b"{}")),
    ("reference is not listed", Reason.UNLISTED_FILE, lambda f: _sparse(f / REFERENCE_FILE, 10)),
    ("calibration holds NaN", Reason.PAYLOAD_INVALID, _calibrated(b"NaN")),
    ("calibration holds infinity", Reason.PAYLOAD_INVALID, _calibrated(b"-Infinity")),
    ("golden score is NaN", Reason.PAYLOAD_INVALID, _golden_score(b"NaN")),
    ("golden score leaves the scale", Reason.PAYLOAD_INVALID, _golden_score(b"5.5")),
    ("metric is NaN", Reason.MANIFEST_INVALID, lambda f: edit_manifest(f, metrics={"safety": float("nan")})),
    ("golden case lacks scores", Reason.PAYLOAD_INVALID, lambda f: replace_file(f, GOLDEN_FILE, b'{"id": "x"}\n')),
]


def _nest(path: Path) -> None:
    path.write_bytes(b'{"rubric":' + b"[" * (MAX_MANIFEST_BYTES // 2) + b"}")


def test_sound_folder_is_read_with_its_calibration_and_golden_set(folder: Path) -> None:
    checkpoint = verify_folder(folder, max_adapter_bytes=LIMIT)
    assert checkpoint.manifest.version == "v1"
    assert checkpoint.manifest.adapter_name.startswith("v1-")
    assert [case.id for case in checkpoint.golden] == ["a", "b"]
    assert checkpoint.reference is None


def test_reference_travels_with_those_that_have_one(tmp_path: Path) -> None:
    reference = ScoreReference.of(dict.fromkeys(DIMENSIONS, (2.0, 4.0)))
    write_checkpoint(tmp_path / "v1", reference=reference)
    assert verify_folder(tmp_path / "v1", max_adapter_bytes=LIMIT).reference == reference


def test_released_checkpoint_without_a_reference_is_sound_under_its_digest() -> None:
    released = TRAINER / "released/judge-gemma3-270m-1"
    checkpoint = verify_folder(released, max_adapter_bytes=16 << 20)
    assert checkpoint.reference is None
    assert checkpoint.manifest.to_bytes() == (released / MANIFEST_FILE).read_bytes()


@pytest.mark.parametrize("released", RELEASED, ids=lambda folder: folder.name)
def test_every_released_checkpoint_is_sound(released: Path) -> None:
    assert verify_folder(released, max_adapter_bytes=64 << 20).manifest.version == released.name


@pytest.mark.parametrize(("reason", "spoil"), [pytest.param(r, s, id=name) for name, r, s in HOSTILE])
def test_hostile_folder_is_refused_for_its_reason(folder: Path, reason: Reason, spoil: Spoil) -> None:
    spoil(folder)
    with pytest.raises(CheckpointRejected) as refused:
        verify_folder(folder, max_adapter_bytes=LIMIT)
    assert refused.value.reason is reason
    assert len(refused.value.detail) < 500


def test_folder_that_is_a_link_is_refused(folder: Path) -> None:
    (folder.parent / "v2").symlink_to(folder)
    with pytest.raises(CheckpointRejected) as refused:
        verify_folder(folder.parent / "v2", max_adapter_bytes=LIMIT)
    assert refused.value.reason is Reason.NOT_A_REGULAR_FILE


def test_notes_for_people_may_travel_with_it(folder: Path) -> None:
    (folder / "CARD.md").write_text("# v1")
    with pytest.raises(CheckpointRejected, match=r"CARD\.md is not in the manifest"):
        verify_folder(folder, max_adapter_bytes=LIMIT)
    replace_file(folder, "CARD.md", b"# v1")
    assert "CARD.md" in verify_folder(folder, max_adapter_bytes=LIMIT).manifest.files


def test_adapter_above_the_limit_is_refused_unread(folder: Path) -> None:
    with pytest.raises(CheckpointRejected) as refused:
        verify_folder(folder, max_adapter_bytes=(folder / ADAPTER_FILE).stat().st_size - 1)
    assert refused.value.reason is Reason.OVERSIZE
    assert MAX_DOCUMENT_BYTES < 1 << 30


@given(raw=st.binary(max_size=300), length=st.integers(0, 2**64 - 1))
def test_any_bytes_are_an_adapter_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes, length: int) -> None:
    path = tmp_path_factory.mktemp("adapter") / ADAPTER_FILE
    path.write_bytes(struct.pack("<Q", length) + raw)
    with path.open("rb") as file, pytest.raises(CheckpointRejected):
        adapter_rank(file, path.stat().st_size)
    assert MAX_HEADER_BYTES < 1 << 30
