"""`index.json`: what a registry behind a static file server holds, since HTTP lists no folders.

The packager writes it beside the checkpoint folders; a judge that pulls from a URL reads it. It comes from elsewhere:
every name is one plain path segment and every count is bounded before anything is asked for or written.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.checkpoint.manifest import MANIFEST_FILE, Sha256, Version

INDEX_FILE: Final = "index.json"
MAX_INDEX_BYTES: Final = 4 << 20
MAX_CHECKPOINTS: Final = 1000
MAX_FILES: Final = 32
PARTIAL: Final = ".partial"
"""Ending of a folder that is still being copied; no registry shows one."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class IndexedFile(BaseModel):
    """One file of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int = Field(ge=0, description="Its length.")
    sha256: Sha256 = Field(description="Its digest.")


class IndexedCheckpoint(BaseModel):
    """One checkpoint folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version = Field(description="The folder's name.")
    written_ns: int = Field(ge=0, lt=2**63, description="When it was written (nanoseconds since 1970); newest first.")
    files: Mapping[FileName, IndexedFile] = Field(max_length=MAX_FILES, description="Its files, by name.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if MANIFEST_FILE not in self.files:
            raise ValueError(f"a checkpoint lists no {MANIFEST_FILE}")
        if self.version.endswith(PARTIAL):
            raise ValueError(f"a version ends in {PARTIAL}")
        return self

    @property
    def digest(self) -> str:
        """Digest of its manifest, through which it covers all files."""
        return self.files[MANIFEST_FILE].sha256

    @property
    def size_bytes(self) -> int:
        """Length of all its files."""
        return sum(file.size_bytes for file in self.files.values())


class RegistryIndex(BaseModel):
    """The whole index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(default=1, description="Shape of this file.")
    checkpoints: tuple[IndexedCheckpoint, ...] = Field(max_length=MAX_CHECKPOINTS, description="The newest first.")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({entry.version for entry in self.checkpoints}) != len(self.checkpoints):
            raise ValueError("a version is listed twice")
        return self

    def to_bytes(self) -> bytes:
        """Return the bytes of `index.json`."""
        return (self.model_dump_json(indent=2) + "\n").encode()
