"""Released role adapters: their manifest, written by the trainer, and its verification before anything serves them.

A folder `roles-…` holds `roles.json` and one adapter folder for each role. It is used only with the base model and the
prompts that it was trained with. An adapter's served name carries its digest: a name never means two contents.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from services.roles.errors import AdaptersInvalid
from services.roles.prompts import PromptStyle, Role

MANIFEST_FILE: Final = "roles.json"
ADAPTER_FILES: Final = ("adapter_model.safetensors", "adapter_config.json")
_NAME_DIGITS: Final = 12


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoleEntry(_Frozen):
    """One role's adapter."""

    files: Mapping[Literal["adapter_model.safetensors", "adapter_config.json"], str] = Field(
        description="Hex sha256 of each file in the role's folder."
    )
    configuration: Mapping[str, object] = Field(description="The resolved configuration, data digest included.")
    loss: Mapping[str, float] = Field(description="Nats a completion token: `first` and `last` reported.")


class RolesManifest(_Frozen):
    """`roles.json`."""

    schema_version: Literal[1] = 1
    version: str = Field(description="The folder's name.")
    base_name: str = Field(description="The base model's public name.")
    base_fingerprint: str = Field(description="Fingerprint of the base model's folder.")
    style: PromptStyle = Field(description="How the roles are prompted.")
    prompts_sha256: str = Field(description="Digest of that style's prompt files and of the rubric.")
    lora_rank: int = Field(ge=1, description="Rank of all three adapters.")
    roles: Mapping[Role, RoleEntry] = Field(description="All three roles.")

    @field_validator("roles")
    @classmethod
    def _complete(cls, roles: Mapping[Role, RoleEntry]) -> Mapping[Role, RoleEntry]:
        if missing := [role.value for role in Role if role not in roles]:
            raise ValueError(f"lacks {', '.join(missing)}")
        return roles


@dataclass(frozen=True, slots=True)
class RoleAdapter:
    """One verified adapter: `name` is what the engine serves it as."""

    role: Role
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class RoleAdapters:
    """A verified set of three."""

    version: str
    style: PromptStyle
    adapters: tuple[RoleAdapter, ...]


def verify_role_adapters(
    folder: Path, *, base_fingerprint: str, prompts_sha256: Mapping[PromptStyle, str], max_rank: int
) -> RoleAdapters:
    """Return the adapters in `folder`; blocks for as long as hashing takes.

    Args:
        folder: what the trainer released.
        base_fingerprint: of the model that is served.
        prompts_sha256: digest of each prompt style here.
        max_rank: the highest rank that the engine takes.

    Raises:
        AdaptersInvalid: it cannot be used here, with the first reason found.
    """
    manifest = _manifest(folder)
    if manifest.base_fingerprint != base_fingerprint:
        raise AdaptersInvalid(f"{folder.name} was trained on another base model ({manifest.base_name})")
    if manifest.prompts_sha256 != prompts_sha256.get(manifest.style):
        raise AdaptersInvalid(f"{folder.name} was trained with other role prompts; train it anew")
    if manifest.lora_rank > max_rank:
        raise AdaptersInvalid(f"{folder.name} has rank {manifest.lora_rank}; the engine takes {max_rank} at most")
    return RoleAdapters(
        manifest.version,
        manifest.style,
        tuple(_adapter(folder, role, manifest.roles[role]) for role in Role),
    )


def role_names(folder: Path) -> tuple[Mapping[Role, str], PromptStyle]:
    """Return the names under which an engine serves a released folder, and how those roles are prompted.

    Raises:
        AdaptersInvalid: the folder is not what its manifest says.
    """
    manifest = _manifest(folder)
    return {role: _adapter(folder, role, manifest.roles[role]).name for role in Role}, manifest.style


def released_folders(registry: Path) -> tuple[Path, ...]:
    """Return the folders with a manifest in a registry, the highest version first: `-10` before `-2`."""
    return tuple(sorted((path.parent for path in registry.glob(f"*/{MANIFEST_FILE}")), key=_by_number, reverse=True))


def _by_number(folder: Path) -> tuple[list[str | int], str]:
    """Return what sorts the digits of a name as numbers; of `-2` and `-02`, which are equal, the text decides."""
    pieces = re.split(r"([0-9]+)", folder.name)
    # Every second piece is a number, so that two names compare text with text and number with number.
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)], folder.name


def _manifest(folder: Path) -> RolesManifest:
    try:
        manifest = RolesManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise AdaptersInvalid(f"{folder.name} has no sound {MANIFEST_FILE}") from error
    if manifest.version != folder.name:
        raise AdaptersInvalid(f"{folder.name} holds version {manifest.version}")
    return manifest


def _adapter(folder: Path, role: Role, entry: RoleEntry) -> RoleAdapter:
    for name in ADAPTER_FILES:
        file = folder / role.value / name
        if not file.is_file() or file.is_symlink():
            raise AdaptersInvalid(f"{folder.name} lacks {role}/{name}")
        if _sha256(file) != entry.files.get(name):
            raise AdaptersInvalid(f"{folder.name}: {role}/{name} is not the file that was released")
    return RoleAdapter(role, f"{role}-{entry.files[ADAPTER_FILES[0]][:_NAME_DIGITS]}", folder / role.value)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
