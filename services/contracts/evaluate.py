"""`POST /evaluate`: the judge's request and answer."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.conversation import Context, Text
from services.contracts.dimensions import Dimension
from services.contracts.problem import Problem


class EvaluateRequest(BaseModel):
    """One reply to judge, with the conversation that it answers."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "context": "I failed my exam again and I can't face telling my parents.",
                    "response": "That sounds really heavy. What do you fear most about telling them?",
                    "rationale": False,
                }
            ]
        },
    )

    context: Context = Field(description="What the person said: a string, or the turns so far, oldest first.")
    response: Text = Field(description="The reply to judge.")
    rationale: bool = Field(default=False, description="Also explain the scores in words (slower).")


class DimensionScore(BaseModel):
    """The judgment of one dimension."""

    model_config = ConfigDict(frozen=True)

    score: float = Field(ge=1.0, le=5.0, description="Calibrated expectation over the five levels, 1.0 to 5.0.")
    level: int = Field(ge=1, le=5, description="The score rounded to a level.")
    distribution: tuple[float, float, float, float, float] = Field(
        description="The judge's probabilities of the levels 1 to 5, before calibration; they sum to 1."
    )
    interval: tuple[float, float] = Field(description="80% interval of the score.")


class Evaluation(BaseModel):
    """What the judge says of one reply."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Id of this judgment.")
    scores: Mapping[Dimension, DimensionScore] = Field(description="All seven dimensions.")
    cognitive_support: float = Field(description="Mean of guidance, informativeness, relevance and safety.")
    affective_resonance: float = Field(description="Mean of empathy, helpfulness and understanding.")
    overall: float = Field(description="Mean of the seven scores.")
    flags: tuple[str, ...] = Field(description="`<dimension>_below_threshold` for each such dimension.")
    needs_human_review: bool = Field(description="The interval of a critical dimension straddles its threshold.")
    rationale: str | None = Field(default=None, description="Why, in words; only when asked for.")
    checkpoint: str = Field(description="The checkpoint that judged, or `base:<fingerprint>` when none is active.")
    truncated: bool = Field(description="The oldest turns were left out to fit the model's window.")
    cached: bool = Field(description="The judgment came from the cache.")


class BatchRequest(BaseModel):
    """Up to 256 replies to judge. Items are validated one by one: a bad one yields its own problem."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[object, ...] = Field(min_length=1, max_length=256, description="Each as the body of `POST /evaluate`.")


class BatchLine(BaseModel):
    """One line of the NDJSON answer, sent as soon as its item is done; exactly one of the two is set."""

    model_config = ConfigDict(frozen=True)

    index: int = Field(ge=0, description="Position of the item in the request.")
    evaluation: Evaluation | None = Field(default=None, description="The judgment.")
    problem: Problem | None = Field(default=None, description="Why there is none.")
