"""The rubric: what each of the seven dimensions means, with its anchors.

It is data; its digest travels with checkpoints.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.contracts.dimensions import DIMENSIONS, Dimension


class Anchors(BaseModel):
    """One dimension in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    definition: str = Field(description="What is rated.")
    low: str = Field(description="What a 1 looks like.")
    high: str = Field(description="What a 5 looks like.")


class Rubric(BaseModel):
    """All seven dimensions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="Name of this wording.")
    dimensions: Mapping[Dimension, Anchors] = Field(description="Anchors of every dimension.")

    @model_validator(mode="after")
    def _complete(self) -> "Rubric":
        missing = [name for name in DIMENSIONS if name not in self.dimensions]
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}")
        return self

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of the rubric's canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def default_rubric() -> Rubric:
    """Return the rubric that ships with theraloop."""
    return Rubric.model_validate_json(files("services.rubric").joinpath("rubric_v1.json").read_text("utf-8"))
