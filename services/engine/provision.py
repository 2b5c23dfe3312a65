"""From a model's name to a local folder that vLLM can serve, with its fingerprint.

Three sources: `embedded` (the default: assembled from Python packages and converted once), a local folder, or a hub id.
The embedded model lives under the user's cache folder; it appears there whole or not at all, and two processes never
convert at the same time.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import platformdirs
from filelock import FileLock

from services.engine.embedded import EMBEDDED_NAME, GGUF_SHA256, TERMS_FILES, fetch_embedded_gguf
from services.engine.errors import DownloadError, ModelFolderError, ProvisionError
from services.engine.fingerprint import fingerprint_model
from services.engine.progress import OnProgress, Progress

EMBEDDED = "embedded"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_RECORD_FILE = "provisioned.json"
_HUB_PATTERNS = ("*.json", "*.safetensors", "*.jinja")

Source = Literal["embedded", "folder", "hub"]


@dataclass(frozen=True)
class ProvisionedModel:
    """A model that is ready to serve."""

    path: Path
    """The local folder, in the Hugging Face layout."""
    name: str
    """The name under which the engine serves it."""
    fingerprint: str
    """The sha256, in hex, over what determines its outputs."""
    source: Source


def default_cache_dir() -> Path:
    """Return the user's cache folder for models and digests (`$XDG_CACHE_HOME/theraloop` or `~/.cache/theraloop`)."""
    return platformdirs.user_cache_path("theraloop")


def embedded_folder(cache_dir: Path) -> Path:
    """Return where the embedded model is once it is provisioned."""
    # The name carries the source's digest: another pinned model gets another folder.
    return cache_dir / "models" / f"{EMBEDDED_NAME}-{GGUF_SHA256[:12]}"


def provision(model: str, cache_dir: Path, on_progress: OnProgress) -> ProvisionedModel:
    """Make `model` available locally and fingerprint it.

    Args:
        model: `embedded`, a path to a folder, or a hub id such as `Qwen/Qwen2.5-7B-Instruct`.
        cache_dir: where the embedded model and file digests are kept.
        on_progress: called at each step of the work.

    Raises:
        ProvisionError: with the mend in its text; `DownloadError` and `ModelFolderError` are its kinds.
    """
    if model == EMBEDDED:
        return _provision_embedded(cache_dir, on_progress)
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return _provision_folder(folder.resolve(), folder.resolve().name, "folder", cache_dir, on_progress)
    if _HUB_ID.fullmatch(model) and not model.startswith("."):
        return _provision_folder(_download_from_hub(model, on_progress), model, "hub", cache_dir, on_progress)
    raise ModelFolderError(f"no model at {model!r}: give `{EMBEDDED}`, an existing folder, or a hub id (owner/name)")


def _provision_folder(
    folder: Path, name: str, source: Source, cache_dir: Path, on_progress: OnProgress
) -> ProvisionedModel:
    on_progress(Progress("verify", f"fingerprint of {name}"))
    return ProvisionedModel(folder, name, fingerprint_model(folder, cache_dir), source)


def _provision_embedded(cache_dir: Path, on_progress: OnProgress) -> ProvisionedModel:
    folder = embedded_folder(cache_dir)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            on_progress(Progress("verify", f"the converted {EMBEDDED_NAME} in the cache"))
            fingerprint = fingerprint_model(folder, cache_dir)
            if fingerprint == _recorded_fingerprint(folder):
                return ProvisionedModel(folder, EMBEDDED_NAME, fingerprint, "embedded")
            on_progress(Progress("verify", "the cached model is damaged: making it again"))
            shutil.rmtree(folder)
        _build_embedded(folder, cache_dir, on_progress)
        return ProvisionedModel(folder, EMBEDDED_NAME, fingerprint_model(folder, cache_dir), "embedded")


def _build_embedded(folder: Path, cache_dir: Path, on_progress: OnProgress) -> None:
    with TemporaryDirectory(dir=folder.parent, prefix=".building-") as scratch:
        source, target = Path(scratch, "source"), Path(scratch, "target")
        source.mkdir()
        fetch_embedded_gguf(source, on_progress)
        on_progress(Progress("convert", f"{EMBEDDED_NAME} to safetensors; once, about a minute"))
        _convert(source, target)
        for terms in TERMS_FILES:
            shutil.copy2(source / terms, target)
        record = {"fingerprint": fingerprint_model(target, cache_dir), "gguf_sha256": GGUF_SHA256}
        (target / _RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        target.rename(folder)


def _convert(source: Path, target: Path) -> None:
    command = [sys.executable, "-m", "services.engine.convert", str(source), str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command, own folders
    if result.returncode != 0:
        reason = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), "no reason was given")
        raise ProvisionError(
            f"the conversion of {EMBEDDED_NAME} failed: {reason.strip()} (2 GiB of free memory are needed)"
        )


def _recorded_fingerprint(folder: Path) -> str | None:
    try:
        record = json.loads((folder / _RECORD_FILE).read_text(encoding="utf-8"))
        return str(record["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _download_from_hub(hub_id: str, on_progress: OnProgress) -> Path:
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    on_progress(Progress("download", f"{hub_id} from the hub"))
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_HUB_PATTERNS)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, httpx.HTTPError, OSError) as error:
        raise DownloadError(
            f"could not get {hub_id} from the hub: is the name right, the machine online, and the licence accepted? "
            f"Else download it elsewhere and give the folder. ({type(error).__name__})"
        ) from error
