"""A team's own ratings, in the JSON Lines or CSV format that `docs/data.md` describes.

Field names that are not in the format are refused: a misspelt dimension must not vanish.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, Json, model_validator

from services.contracts.conversation import Context, Text, Turn, turns_of
from services.contracts.dimensions import DIMENSIONS
from trainer.data.identity import digest, normalised_context
from trainer.data.schema import Name, Rating
from trainer.data.sources.source import Level, RawId, Source, parse
from trainer.errors import BadRowError


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    context: Context | None = None
    context_turns: Json[Annotated[tuple[Turn, ...], Field(min_length=1)]] | None = None
    response: Text
    rater: Name
    system: Name
    question_id: RawId | None = None
    guidance: Level | None = None
    informativeness: Level | None = None
    relevance: Level | None = None
    safety: Level | None = None
    empathy: Level | None = None
    helpfulness: Level | None = None
    understanding: Level | None = None

    @model_validator(mode="after")
    def _one_context(self) -> Self:
        if (self.context is None) == (self.context_turns is None):
            raise ValueError("give either context or context_turns")
        return self


def _convert(raw: dict[str, Any], file: Path) -> list[Rating]:
    row = parse(_Row, raw)
    scores = {str(dimension): getattr(row, dimension) for dimension in DIMENSIONS}
    if all(score is None for score in scores.values()):
        raise BadRowError("missing", "no dimension is rated")
    turns = row.context_turns or turns_of(row.context or ())
    question = row.question_id or digest(normalised_context(turns))
    return [
        Rating(
            item_id=digest(normalised_context(turns), row.response),
            question_id=question,
            system=row.system,
            rater=row.rater,
            context=turns,
            response=row.response,
            source="ratings",
            split_group=f"ratings:{question}",
            **scores,
        )
    ]


def ratings(path: Path) -> Source:
    """Return the import of a team's own ratings (.jsonl or .csv, plain or gzipped)."""
    return Source("ratings", (path,), _convert)
