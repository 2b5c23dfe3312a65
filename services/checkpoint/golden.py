"""`golden.jsonl`: replies with the scores that a loaded checkpoint must give them, within a tolerance."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.conversation import Context, Text
from services.contracts.dimensions import MAX_SCORE, MIN_SCORE, Dimension

_Score = Annotated[float, Field(ge=MIN_SCORE, le=MAX_SCORE)]


class GoldenCase(BaseModel):
    """One line of the file. The text is written by the project, never somebody's message."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str = Field(description="Name of the case.")
    context: Context = Field(description="The conversation.")
    response: Text = Field(description="The reply.")
    scores: Mapping[Dimension, _Score] = Field(description="Calibrated scores at packaging, all seven.")
    base_scores: Mapping[Dimension, _Score] = Field(
        description="What the base model gives without the adapter: a loaded adapter must not look like this."
    )
    tolerance: float = Field(gt=0.0, le=1.0, description="How far each score may be off, in levels.")
