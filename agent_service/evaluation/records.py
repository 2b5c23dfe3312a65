"""What is kept of each refined draft: one JSON line, so that a stopped evaluation goes on where it was.

The lines hold texts: the drafts are of public, de-identified data. Never use it on people's own conversations.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_service.errors import DataInvalid
from agent_service.evaluation.variants import Variant
from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.contracts.drafts import Band
from services.contracts.evaluate import Evaluation
from services.contracts.refine import Critique, Outcome


class Scores(BaseModel):
    """One judgment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimensions: Mapping[Dimension, float]
    overall: float

    @classmethod
    def of(cls, evaluation: Evaluation) -> "Scores":
        """Return the scores of a judgment."""
        return cls(dimensions={name: evaluation.scores[name].score for name in DIMENSIONS}, overall=evaluation.overall)


class Record(BaseModel):
    """One draft under one variant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant
    draft_id: str
    question: str
    band: Band
    context: tuple[Turn, ...]
    draft: str
    response: str = Field(description="What would be sent.")
    outcome: Outcome
    reason: str | None
    before: Scores = Field(description="The verdict judge on the draft.")
    after: Scores = Field(description="The verdict judge on what would be sent.")
    steered_before: float | None = Field(description="The steering judge's overall of the draft.")
    steered_after: float | None = Field(description="Of what would be sent; null for a fallback.")
    steered_by: str | None = Field(description="The steering judge's checkpoint.")
    verdict_by: str = Field(description="The verdict judge's checkpoint.")
    critique: tuple[Critique, ...] = Field(description="The first round's.")
    plan: tuple[str, ...] = Field(description="The first round's.")
    rounds: int
    seconds: float = Field(description="The whole refinement.")
    stage_ms: Mapping[str, float] = Field(description="Of all rounds together.")
    tokens: Mapping[str, int] = Field(description="Prompt and completion tokens by role.")
    notes: tuple[str, ...] = Field(description="What went wrong in roles and was survived.")
    refusals: tuple[str, ...] = Field(description="Why candidates were not taken.")

    @property
    def gain(self) -> float:
        """By how much overall rose, in the verdict judge's eyes."""
        return self.after.overall - self.before.overall

    @property
    def key(self) -> tuple[Variant, str]:
        """What may occur once."""
        return (self.variant, self.draft_id)


def read_records(path: Path) -> list[Record]:
    """Return the finished drafts; a last line that was cut off by a kill is left out.

    Raises:
        DataInvalid: another line is none.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    try:
        return [Record.model_validate_json(line) for line in lines[:-1] if line]
    except ValidationError as error:
        raise DataInvalid(f"{path}: holds a line of another evaluation; choose another --out") from error


def repair(path: Path, records: Iterable[Record]) -> None:
    """Write the file anew with whole lines alone."""
    path.write_text("".join(record.model_dump_json() + "\n" for record in records), encoding="utf-8")
