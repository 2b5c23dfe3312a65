"""The agent's settings, from the environment: THERALOOP_AGENT_<PART>_<FIELD>. Read once, by the entry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr
from pydantic_settings import SettingsConfigDict

from agent_service.policy import Action
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.roles.prompts import PromptStyle
from services.settings import EngineSettings, ServiceSettings

_STYLE = "`adapter` for a role adapter of ours, `chat` for an instruct model."
Score = Annotated[float, Field(ge=1.0, le=5.0)]


class JudgeAccess(BaseModel):
    """Where the judge is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: HttpUrl = Field(default=HttpUrl("http://127.0.0.1:8101"), description="Base URL of the judge service.")
    api_key: SecretStr | None = Field(default=None, description="Its API key, with the scope `evaluate`.")


class GateSettings(BaseModel):
    """When a reply is good enough, and when a rewrite is better."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Score = Field(default=3.5, description="At or above it a dimension needs no rewriting (levels).")
    thresholds: Mapping[Dimension, Score] = Field(default={}, description="Per dimension, instead of `threshold`.")
    margin: float = Field(
        default=0.1, ge=0.0, le=4.0, description="By how much overall must rise (levels); above the judge's noise."
    )
    safety_floor: Score = Field(default=2.5, description="Below this Safety a reply never goes out (levels).")

    def resolved(self) -> Mapping[Dimension, float]:
        """Return the threshold of every dimension."""
        return {name: self.thresholds.get(name, self.threshold) for name in DIMENSIONS}


class LengthSettings(BaseModel):
    """How long a rewrite may be (characters)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_ratio: float = Field(default=2.0, ge=1.0, description="Longest, as a multiple of the draft.")
    always_allowed: int = Field(default=1300, ge=100, description="Up to here never too long: curt drafts need room.")
    min_ratio: float = Field(default=0.5, ge=0.0, le=1.0, description="Shortest, as a share of the draft.")
    always_enough: int = Field(default=300, ge=1, description="From here never too short: long drafts may be cut.")
    at_least: int = Field(default=40, ge=1, description="Below this always too short: no help fits in less.")


class RoleSettings(BaseModel):
    """Who plays the roles, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    critic_model: str | None = Field(default=None, description="Engine's name of the Critic; none: the base model.")
    coach_model: str | None = Field(default=None, description="Engine's name of the Coach; none: the base model.")
    therapist_model: str | None = Field(default=None, description="Name of the Therapist; none: the base model.")
    critic_style: PromptStyle = Field(default=PromptStyle.COMPLETION, description=_STYLE)
    coach_style: PromptStyle = Field(default=PromptStyle.COMPLETION, description=_STYLE)
    therapist_style: PromptStyle = Field(default=PromptStyle.COMPLETION, description=_STYLE)
    critic_tokens: int = Field(default=200, ge=16, description="Longest critique (tokens): seven short lines.")
    coach_tokens: int = Field(default=140, ge=16, description="Longest plan (tokens): a few sentences.")
    therapist_tokens: int = Field(default=300, ge=32, description="Longest rewrite (tokens).")
    max_changes: int = Field(default=3, ge=1, le=7, description="Changes in a plan at most; more are not followed.")
    max_aims: int = Field(
        default=3, ge=1, le=7, description="Weak dimensions that a round works on, the furthest below first."
    )
    fingerprint: str = Field(
        default="unset",
        description="Stands for the weights behind the names in cache keys: change it when they change.",
    )
    max_context_chars: int = Field(default=2400, ge=200, description="Of the conversation; fits a 2,048-token window.")
    max_draft_chars: int = Field(default=2000, ge=200, description="Of the draft; fits a 2,048-token window.")
    lowest_temperature: float = Field(default=0.2, ge=0.0, le=2.0, description="Of the most careful candidate.")
    highest_temperature: float = Field(default=0.6, ge=0.0, le=2.0, description="Of the boldest candidate.")
    top_p: float = Field(default=0.95, gt=0.0, le=1.0, description="Nucleus of all candidates.")


class PolicySettings(BaseModel):
    """What to do when a part is down or late."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge_down: Action = Field(default=Action.FALLBACK, description="fallback, pass or reject without the judge.")
    model_down: Action = Field(default=Action.FALLBACK, description="The same without the roles' model.")


class CrisisSettings(BaseModel):
    """The operator's own crisis data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resources_file: Path | None = Field(default=None, description="TOML as the packaged resources_v1.toml.")
    messages_file: Path | None = Field(default=None, description="TOML as the packaged messages_v1.toml.")


class RefineSettings(BaseModel):
    """The route itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_s: float = Field(
        default=125.0, gt=0.0, description="Seconds a refinement may take at most; the longest `deadline_ms` fits."
    )
    keepalive_s: float = Field(default=10.0, gt=0.0, description="Seconds of silence until a stream sends a comment.")


class AgentSettings(ServiceSettings):
    """All settings of the agent."""

    model_config = SettingsConfigDict(env_prefix="THERALOOP_AGENT_")

    engine: EngineSettings = Field(default_factory=EngineSettings, description="The engine that plays the roles.")
    judge: JudgeAccess = Field(default_factory=JudgeAccess, description="Where the judge is.")
    gate: GateSettings = Field(default_factory=GateSettings, description="Thresholds, margin and floor.")
    length: LengthSettings = Field(default_factory=LengthSettings, description="How long rewrites may be.")
    roles: RoleSettings = Field(default_factory=RoleSettings, description="Who plays the roles.")
    policy: PolicySettings = Field(default_factory=PolicySettings, description="When a part is down or late.")
    crisis: CrisisSettings = Field(default_factory=CrisisSettings, description="Crisis data.")
    refine: RefineSettings = Field(default_factory=RefineSettings, description="The route itself.")
