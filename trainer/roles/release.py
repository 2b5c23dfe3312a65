"""Trained adapters to a released folder: the files, and the manifest that says what they are bound to."""

import json
import shutil
from pathlib import Path
from typing import Final

from services.engine.fingerprint import fingerprint_model
from services.engine.provision import default_cache_dir
from services.roles.adapters import ADAPTER_FILES, MANIFEST_FILE, RoleEntry, RolesManifest
from services.roles.prompts import Role, style_digest
from services.rubric.rubric import default_rubric
from trainer.data.identity import file_sha256
from trainer.errors import PackagingError
from trainer.roles.build import STYLE
from trainer.roles.config import RolesConfig
from trainer.roles.train import CONFIG_FILE

MAX_ADAPTER_BYTES: Final = 20 << 20


def release_roles(config: RolesConfig, runs: dict[Role, Path]) -> Path:
    """Publish the adapters of three finished runs under the configuration's version; return the folder.

    Raises:
        PackagingError: a run is not finished, an adapter is too large, or the version is there already.
    """
    folder = config.registry / config.version
    if folder.exists():
        raise PackagingError(f"{folder}: is there already; choose another version")
    entries = {role: _entry(role, run) for role, run in runs.items()}
    manifest = RolesManifest(
        version=config.version,
        base_name=config.base_name,
        base_fingerprint=fingerprint_model(config.model.base.resolve(), default_cache_dir()),
        style=STYLE,
        prompts_sha256=style_digest(STYLE, default_rubric()),
        lora_rank=config.lora.rank,
        roles=entries,
    )
    fresh = config.registry / f".{config.version}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for role, run in runs.items():
        (fresh / role.value).mkdir(parents=True)
        for name in ADAPTER_FILES:
            shutil.copyfile(run / "adapter" / name, fresh / role.value / name)
    (fresh / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fresh.rename(folder)
    return folder


def _entry(role: Role, run: Path) -> RoleEntry:
    weights, configuration = (run / "adapter" / name for name in ADAPTER_FILES)
    if not weights.is_file() or not configuration.is_file():
        raise PackagingError(f"{run}: the {role}'s run is not finished")
    if weights.stat().st_size > MAX_ADAPTER_BYTES:
        raise PackagingError(f"{weights}: larger than {MAX_ADAPTER_BYTES >> 20} MiB; lower lora.rank")
    _without_places(configuration)
    reports = [json.loads(line) for line in (run / "progress.jsonl").read_text(encoding="utf-8").splitlines()]
    return RoleEntry(
        files={file.name: file_sha256(file) for file in (weights, configuration)},
        configuration=json.loads((run / CONFIG_FILE).read_bytes()),
        loss={"first": reports[0]["loss"], "last": reports[-1]["loss"]},
    )


def _without_places(configuration: Path) -> None:
    """Take the training machine's folder out of PEFT's record."""
    content = json.loads(configuration.read_bytes()) | {"base_model_name_or_path": None}
    configuration.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
