"""The fingerprint of a model folder: a sha256 over what determines the model's outputs.

Cache keys and checkpoints carry it, so two folders have the same fingerprint exactly if they hold the same weights,
architecture, tokenizer and chat template. Who saved the folder, where and with which library version does not count.

Hashing gigabytes takes seconds to minutes, so each file's digest is remembered beside the cache (never in the user's
folder) together with the size and modification time for which it holds.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from services.engine.errors import ModelFolderError

_VOLATILE_KEYS = frozenset({"_model_name_or_path", "_name_or_path", "transformers_version"})


@dataclass(frozen=True)
class _FileDigest:
    size_bytes: int
    modified_ns: int
    sha256: str


def fingerprint_model(folder: Path, cache_dir: Path) -> str:
    """Return the sha256, in hex, over the folder's configuration, tokenizer, chat template and weights.

    Args:
        folder: a model in the Hugging Face layout with safetensors weights.
        cache_dir: where digests are remembered.

    Raises:
        ModelFolderError: a necessary file is missing or is not JSON.
    """
    config = _read_json(_required(folder / "config.json"))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelFolderError(f"{folder} holds no *.safetensors weights: save the model with safe serialisation")
    content = sorted([*weights, _required(folder / "tokenizer.json")])
    lines = [f"config.json {_digest_json({key: value for key, value in config.items() if key not in _VOLATILE_KEYS})}"]
    lines += [f"chat_template {hashlib.sha256(_chat_template(folder).encode()).hexdigest()}"]
    lines += [
        f"{path.name} {digest}" for path, digest in zip(content, _digests(content, folder, cache_dir), strict=True)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _required(path: Path) -> Path:
    if not path.is_file():
        raise ModelFolderError(f"{path.parent} is not a usable model folder: {path.name} is missing")
    return path


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFolderError(f"{path} is not valid JSON") from error
    if not isinstance(content, dict):
        raise ModelFolderError(f"{path} does not hold a JSON object")
    return content


def _digest_json(content: dict[str, object]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _chat_template(folder: Path) -> str:
    template_file = folder / "chat_template.jinja"
    if template_file.is_file():
        return template_file.read_text(encoding="utf-8")
    path = folder / "tokenizer_config.json"
    template = _read_json(path).get("chat_template") if path.is_file() else None
    return template if isinstance(template, str) else json.dumps(template, sort_keys=True)


def _digests(paths: list[Path], folder: Path, cache_dir: Path) -> list[str]:
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
    sidecar = cache_dir / "fingerprints" / f"{key}.json"
    known = _load_sidecar(sidecar)
    current = {path.name: _digest_file(path, known.get(path.name)) for path in paths}
    if current != known:
        sidecar.parent.mkdir(parents=True, exist_ok=True)
        fresh = sidecar.with_suffix(".tmp")
        fresh.write_text(json.dumps({name: asdict(entry) for name, entry in current.items()}), encoding="utf-8")
        fresh.replace(sidecar)
    return [current[path.name].sha256 for path in paths]


def _digest_file(path: Path, known: _FileDigest | None) -> _FileDigest:
    status = path.stat()
    if known is not None and (known.size_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
        return known
    return _FileDigest(status.st_size, status.st_mtime_ns, sha256_file(path))


def _load_sidecar(sidecar: Path) -> dict[str, _FileDigest]:
    """Read remembered digests; a missing or damaged sidecar only costs the hashing again."""
    if not sidecar.is_file():
        return {}
    try:
        return {name: _FileDigest(**entry) for name, entry in json.loads(sidecar.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
