"""A split as written down: which questions are in which part, of which files, and what was left out.

Training, calibration and reports read a part through `Split.select`; nothing else decides what was trained on.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.errors import SplitError


class Part(BaseModel):
    """One part of a split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: tuple[str, ...] = Field(description="The split groups (questions) in it, sorted.")
    systems: tuple[str, ...] | None = Field(default=None, description="Only these systems' replies; null: all.")
    rows: int = Field(description="Ratings in it, exclusions taken off.")
    items: int = Field(description="Distinct replies in it.")


class Exclusion(BaseModel):
    """A reply left out of the part that its question is in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str
    item_id: str
    pair_id: str | None
    reason: str


class Split(BaseModel):
    """The record of a split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    config: dict[str, Any] = Field(description="The configuration, resolved.")
    inputs: dict[str, str] = Field(
        description="SHA-256 of each ratings file, by name; by path where two have one name."
    )
    held_out_kinds: tuple[str, ...] = Field(default=(), description="Kinds of authored pairs never trained on.")
    parts: dict[str, Part]
    excluded: tuple[Exclusion, ...]

    def select(self, table: pa.Table, part: str) -> pa.Table:
        """Return the rows of `table` that are in `part`; SplitError if there is no such part.

        The table may hold other raters' scores of the same replies than the split was made from.
        """
        if part not in self.parts:
            raise SplitError(f"no part {part!r} in split {self.name!r}; it has {', '.join(self.parts)}")
        chosen = self.parts[part]
        mask = pc.is_in(table["split_group"], pa.array(chosen.groups, pa.string()))
        if chosen.systems is not None:
            mask = pc.and_(mask, pc.is_in(table["system"], pa.array(chosen.systems, pa.string())))
        left_out = pa.array([_key(e.item_id, e.pair_id) for e in self.excluded if e.part == part], pa.string())
        keys = pc.binary_join_element_wise(table["item_id"], pc.fill_null(table["pair_id"], ""), "/")
        return table.filter(pc.and_(mask, pc.invert(pc.is_in(keys, left_out))))

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Return the split recorded at `path`; SplitError if it is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise SplitError(f"{path}: not a split record; make it with `python -m trainer split`") from error


def _key(item_id: str, pair_id: str | None) -> str:
    return f"{item_id}/{pair_id or ''}"
