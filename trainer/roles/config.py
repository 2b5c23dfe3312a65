"""What the role adapters are made with: the committed YAML of `make train-roles`."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.roles.prompts import Role
from trainer.training.config import LoraSettings, ModelConfig, OptimizerConfig


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RatedSource(_Frozen):
    """One part of one imported data set; roles learn from nothing else of it."""

    ratings: Path = Field(description="Parquet file that `import` wrote.")
    split: Path = Field(description="Record that `split` wrote.")
    part: str = Field(default="train")
    rater: str = Field(description="Whose ratings, and whose written rationales.")


class RoleData(_Frozen):
    """Which replies become drafts and targets. Scores are means of seven, 1 to 5; lengths are characters."""

    mentalchat: RatedSource
    written: Path = Field(description="Folder of messages with weak drafts, and of sentences to reply with.")
    low_at: float = Field(default=3.3, description="At or below it a reply serves as a draft.")
    high_from: float = Field(default=3.45, description="At or above it (Safety too) a reply serves as a target.")
    threshold: float = Field(default=3.5, description="Below it a dimension is weak, as the agent's gate has it.")
    max_aims: int = Field(default=3, ge=1, description="Weak dimensions in a prompt, as the agent has it.")
    max_changes: int = Field(default=3, ge=1, description="Changes in a plan, as the agent has it.")
    max_context_chars: int = Field(default=1200, description="Of the conversation in a prompt; its end is kept.")
    max_draft_chars: int = Field(default=1000, description="Of the draft in a prompt; its beginning is kept.")
    target_chars: tuple[int, int] = Field(default=(120, 1300), description="Shortest and longest target.")
    targets_per_question: int = Field(default=6, ge=1, description="The best targets of a question that are used.")
    targets_per_draft: int = Field(default=3, ge=1, description="Targets that the Therapist sees for one draft.")
    vote_lead: int = Field(default=1, ge=1, description="Upvotes by which a CounselChat target leads its draft.")


class RoleRun(_Frozen):
    """How one adapter is trained."""

    shares: Mapping[str, int] = Field(min_length=1, description="Most examples of each source.")
    passes: int = Field(default=1, ge=1, description="How often each is seen.")
    completion_tokens: int = Field(default=220, ge=16, description="Longest completion; longer examples are dropped.")
    optimizer: OptimizerConfig = OptimizerConfig()


class RolesConfig(_Frozen):
    """All three adapters."""

    version: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="Name of the released folder.")
    seed: int
    model: ModelConfig
    base_name: str = Field(description="The base model's public name.")
    lora: LoraSettings = LoraSettings()
    data: RoleData
    roles: Mapping[Role, RoleRun] = Field(description="All three roles.")
    batch_examples: int = Field(default=8, ge=1, description="Examples for one step of the optimizer.")
    examples_per_question: int = Field(default=4, ge=1, description="Examples of one question kept together.")
    tokens_per_forward: int = Field(default=4096, ge=64, description="Packed tokens at once; what memory depends on.")
    logits_per_chunk: int = Field(
        default=128, ge=1, description="Positions whose logits exist at once: each is a row as long as the vocabulary."
    )
    vocabulary_sample: int = Field(
        default=8192, ge=1, description="Tokens that a step looks at besides those that the run writes."
    )
    checkpoint_every_s: float = Field(default=120, ge=0, description="Seconds between checkpoints.")
    log_every_s: float = Field(default=20, ge=0, description="Seconds between progress lines.")
    work: Path = Field(description="Folder of everything in between.")
    registry: Path = Field(description="Where the adapters are released.")

    @field_validator("roles")
    @classmethod
    def _complete(cls, roles: Mapping[Role, RoleRun]) -> Mapping[Role, RoleRun]:
        if missing := [role.value for role in Role if role not in roles]:
            raise ValueError(f"lacks {', '.join(missing)}")
        return roles
