"""A released folder of role adapters, small and sound, for tests of whoever reads one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from services.roles.adapters import ADAPTER_FILES, MANIFEST_FILE, RoleEntry, RolesManifest
from services.roles.prompts import PromptStyle, Role, style_digest
from services.rubric.rubric import default_rubric

FINGERPRINT = "f" * 64


def write_role_adapters(registry: Path, version: str = "roles-1", changed: Mapping[str, object] | None = None) -> Path:
    """Write a folder whose manifest fits it; `changed` replaces fields of the manifest."""
    folder = registry / version
    entries = {role: RoleEntry(files=_files(folder / role.value), configuration={}, loss={}) for role in Role}
    manifest = RolesManifest(
        version=version,
        base_name="tiny",
        base_fingerprint=FINGERPRINT,
        style=PromptStyle.ADAPTER,
        prompts_sha256=style_digest(PromptStyle.ADAPTER, default_rubric()),
        lora_rank=16,
        roles=entries,
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_copy(update=changed or {}).model_dump_json(), encoding="utf-8")
    return folder


def _files(folder: Path) -> Mapping[str, str]:
    folder.mkdir(parents=True)
    for name in ADAPTER_FILES:
        (folder / name).write_text(f"{folder.name} {name}", encoding="utf-8")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ADAPTER_FILES}
