"""Drafts to evaluate the agent on: what the trainer writes from held-out data and the agent's evaluation reads."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.conversation import Text, Turn


class Band(StrEnum):
    """How good a draft is by the raters of the data; a judge may see it otherwise."""

    LOW = "low"
    MID = "mid"
    GOOD = "good"


class Draft(BaseModel):
    """One reply to one held-out question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, description="Names the draft.")
    question: str = Field(min_length=1, description="Names the question: what intervals resample.")
    context: tuple[Turn, ...] = Field(min_length=1, description="The conversation, oldest turn first.")
    response: Text = Field(description="The draft.")
    rated: float = Field(ge=1.0, le=5.0, description="Mean of the raters' seven scores.")
    band: Band = Field(description="Its band by `rated`.")
