"""Whom a person can turn to, by region: a data file that operators may replace, read and validated at the start.

Every region has an emergency number and comes out in the file's order, the emergency number first. A region that the
file does not know gets the default: the local emergency number and a directory.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent_service.crisis.lexicon import Category, read_toml
from agent_service.errors import DataInvalid
from services.contracts.refine import CrisisResource

_REGION = re.compile(r"^[A-Z]{2}$")
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class Resource(BaseModel):
    """One service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Line = Field(description="Name of the service.")
    contact: Line = Field(description="How to reach it.")
    hours: Line = Field(description="When it answers.")
    emergency: bool = Field(default=False, description="The emergency number.")
    categories: tuple[Category, ...] = Field(default=(), alias="for", description="What it is meant for; none: all.")


def _has_emergency(resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    if not any(resource.emergency for resource in resources):
        raise ValueError("names no emergency number; mark one entry `emergency = true`")
    return resources


class ResourceDirectory(BaseModel):
    """All regions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="Name of this list.")
    default: tuple[Resource, ...] = Field(min_length=1, description="For regions that are not listed.")
    regions: Mapping[str, tuple[Resource, ...]] = Field(description="By ISO 3166-1 country code.")
    source_digest: str = Field(description="Hex sha256 of the file.")

    @field_validator("default")
    @classmethod
    def _default_has_emergency(cls, resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
        return _has_emergency(resources)

    @field_validator("regions")
    @classmethod
    def _regions_have_emergency(cls, regions: Mapping[str, tuple[Resource, ...]]) -> Mapping[str, tuple[Resource, ...]]:
        for name, resources in regions.items():
            if not _REGION.match(name):
                raise ValueError(f"{name} is not an ISO 3166-1 code of two capitals")
            try:
                _has_emergency(resources)
            except ValueError as error:
                raise ValueError(f"{name} {error}") from error
        return regions

    def of(self, region: str | None, categories: Iterable[str] = ()) -> tuple[CrisisResource, ...]:
        """Return the resources for a region and what was found, the emergency number first; never empty."""
        wanted = set(categories)
        listed = self.regions.get(region or "", self.default)
        fitting = [entry for entry in listed if not entry.categories or wanted.intersection(entry.categories)]
        if not any(not entry.emergency for entry in fitting):
            fitting += [entry for entry in self.default if not entry.emergency]
        fitting.sort(key=lambda entry: not entry.emergency)
        return tuple(CrisisResource(name=entry.name, contact=entry.contact, hours=entry.hours) for entry in fitting)


def load_resources(path: Path | None = None) -> ResourceDirectory:
    """Return the packaged directory, or the operator's own.

    Raises:
        DataInvalid: it cannot be read or used.
    """
    name = path.name if path else "resources_v1.toml"
    try:
        packaged = files("agent_service.crisis").joinpath("resources_v1.toml")
        source = path.read_text("utf-8") if path else packaged.read_text("utf-8")
    except OSError as error:
        raise DataInvalid(f"{name} cannot be read: {error.strerror}") from error
    return read_toml(source, ResourceDirectory, name, source_digest=hashlib.sha256(source.encode()).hexdigest())
