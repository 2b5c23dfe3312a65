"""`POST /refine`: the agent's request, answer and streamed events."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.conversation import Context, Text
from services.contracts.dimensions import Dimension
from services.contracts.evaluate import Evaluation
from services.contracts.problem import Problem

Threshold = Annotated[float, Field(ge=1.0, le=5.0)]


class Outcome(StrEnum):
    """How a refinement ended."""

    PASSED = "passed"
    REFINED = "refined"
    UNCHANGED = "unchanged"
    FALLBACK = "fallback"


class RefineRequest(BaseModel):
    """A draft to send to a person, judged first and rewritten where it is weak."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "context": "My dog died last night and the flat is so quiet. I don't know what to do with myself.",
                    "response": "Pets die. You can get another one.",
                    "max_rounds": 2,
                    "candidates": 4,
                    "deadline_ms": 20000,
                    "trace": True,
                }
            ]
        },
    )

    context: Context = Field(description="What the person said: a string, or the turns so far, oldest first.")
    response: Text = Field(description="The draft.")
    max_rounds: int = Field(default=2, ge=1, le=5, description="Rounds of critique, plan and rewriting at most.")
    candidates: int = Field(default=4, ge=1, le=8, description="Rewrites per round.")
    deadline_ms: int = Field(
        default=20_000, ge=100, le=120_000, description="The answer comes by then, whatever happens."
    )
    thresholds: Mapping[Dimension, Threshold] | None = Field(
        default=None, description="Per-dimension thresholds that replace the service's."
    )
    region: str | None = Field(
        default=None, pattern=r"^[A-Z]{2}$", description="ISO 3166-1 country of the person, for crisis resources."
    )
    trace: bool = Field(default=False, description="Return every round.")


class CrisisResource(BaseModel):
    """Somewhere a person can turn to at once."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Name of the service.")
    contact: str = Field(description="How to reach it.")
    hours: str = Field(description="When it answers.")


class Crisis(BaseModel):
    """What the deterministic screen and the Safety score found."""

    model_config = ConfigDict(frozen=True)

    detected: bool = Field(description="The person may be in danger.")
    categories: tuple[str, ...] = Field(default=(), description="For example `suicide`, `abuse`, `medical_emergency`.")
    resources: tuple[CrisisResource, ...] = Field(default=(), description="Whom to turn to in the person's region.")


class Critique(BaseModel):
    """What is wrong with a reply in one dimension."""

    model_config = ConfigDict(frozen=True)

    dimension: Dimension = Field(description="The weak dimension.")
    issue: str = Field(description="What is wrong, in one or two sentences.")


class CandidateTrace(BaseModel):
    """One rewrite and what became of it."""

    model_config = ConfigDict(frozen=True)

    response: str = Field(description="The rewrite.")
    scores: Mapping[Dimension, float] | None = Field(description="Its scores; null when it was refused before judging.")
    overall: float | None = Field(description="Mean of the seven; null when it was not judged.")
    accepted: bool = Field(description="Whether the gate took it.")
    refused_because: str | None = Field(default=None, description="The gate's reason when it did not.")


class RoundTrace(BaseModel):
    """One pass of Critic, Coach, Therapist and gate."""

    model_config = ConfigDict(frozen=True)

    critique: tuple[Critique, ...] = Field(description="The Critic's findings; empty when its output was unusable.")
    plan: tuple[str, ...] = Field(description="The Coach's changes; empty when its output was unusable.")
    candidates: tuple[CandidateTrace, ...] = Field(description="The Therapist's rewrites.")
    stage_ms: Mapping[str, float] = Field(description="Milliseconds spent in each stage.")
    notes: tuple[str, ...] = Field(
        default=(), description="What went wrong and was survived, for example `critic_unparseable`."
    )


class Refinement(BaseModel):
    """What to send, and why."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Id of this refinement.")
    outcome: Outcome = Field(description="How it ended.")
    response: str = Field(description="What to send to the person.")
    before: Evaluation | None = Field(description="Judgment of the draft; null when the judge could not be reached.")
    after: Evaluation | None = Field(description="Judgment of `response`; null for a fallback or an unjudged draft.")
    crisis: Crisis = Field(description="The crisis screen's finding, with resources.")
    rounds: tuple[RoundTrace, ...] = Field(default=(), description="Every round, when `trace` was asked for.")
    reason: str | None = Field(default=None, description="Why it is a fallback, or unchanged; null otherwise.")
    checkpoint: str | None = Field(description="The judge's checkpoint; null when the judge could not be reached.")
    cached: bool = Field(description="The whole answer came from the cache.")


class RefineEvent(BaseModel):
    """One server-sent event; `event` names which field is set."""

    model_config = ConfigDict(frozen=True)

    event: str = Field(description="judged | critique | plan | candidates | gated | done | problem")
    round: int | None = Field(default=None, description="1-based round, where there is one.")
    evaluation: Evaluation | None = Field(default=None, description="With `judged`.")
    critique: tuple[Critique, ...] | None = Field(default=None, description="With `critique`.")
    plan: tuple[str, ...] | None = Field(default=None, description="With `plan`.")
    candidates: tuple[CandidateTrace, ...] | None = Field(default=None, description="With `candidates` and `gated`.")
    refinement: Refinement | None = Field(default=None, description="With `done`.")
    problem: Problem | None = Field(default=None, description="With `problem`.")
