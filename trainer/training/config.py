"""What a training run is made of: committed YAML, resolved into frozen models and saved with the weights."""

from pathlib import Path
from typing import Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainer.errors import TrainingConfigError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(_Frozen):
    """The base model and the prompt's limits."""

    base: Path = Field(description="Folder of the base model (transformers format, safetensors).")
    dtype: Literal["bfloat16", "float32"] = Field(default="bfloat16", description="Of weights and arithmetic.")
    window_tokens: int = Field(
        default=2048, ge=512, description="Prompt and verdict together; longer contexts are cut."
    )
    gradient_checkpointing: bool = Field(default=False, description="Recompute activations: slower, far less memory.")
    compile: bool = Field(default=False, description="Fuse element-wise steps; on a CPU needs a C++ compiler.")


class LoraSettings(_Frozen):
    """The adapter's shape."""

    rank: int = Field(default=16, ge=1, le=256)
    alpha: float = Field(default=16, gt=0, description="The adapter's output is scaled by alpha / rank.")
    targets: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), min_length=1
    )


class SourceConfig(_Frozen):
    """One part of one imported data set, and how often a run sees it."""

    ratings: Path = Field(description="Parquet file that `import` wrote.")
    split: Path = Field(description="Record that `split` wrote.")
    part: str = Field(default="train")
    rater: str = Field(description="Whose ratings are the labels.")
    passes: float = Field(
        default=1.0, gt=0, description="How often each row is seen; a fraction takes a seeded sample."
    )
    low_passes: float | None = Field(default=None, gt=0, description="Passes over rows with a low label, if different.")
    off_topic: int = Field(default=0, ge=0, description="Replies put under another question, labelled as off topic.")


class LossConfig(_Frozen):
    """The objective: cross entropy with soft labels, and two terms on the expected score."""

    expectation: float = Field(default=0.5, ge=0, description="Weight of the squared error of the expected score.")
    pair: float = Field(default=0.5, ge=0, description="Weight of the margin between the replies of an authored pair.")
    pair_margin: float = Field(default=1.0, ge=0, le=4, description="How far apart they should be, in score units.")
    rarity: float = Field(default=0.3, ge=0, le=1, description="Labels weigh by their frequency to minus this power.")


class OptimizerConfig(_Frozen):
    """AdamW with warm-up and cosine decay to `final_share` of the peak."""

    learning_rate: float = Field(default=3e-4, gt=0)
    warmup_steps: int = Field(default=20, ge=0)
    final_share: float = Field(default=0.02, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = Field(default=1.0, gt=0)


class SftConfig(_Frozen):
    """A supervised run."""

    seed: int
    model: ModelConfig
    lora: LoraSettings = LoraSettings()
    adapter: Path | None = Field(
        default=None, description="An adapter to go on from; null: a fresh one of shape `lora`."
    )
    start_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of `adapter` in the result: weights are averaged with it at the end.",
    )
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_replies: int = Field(default=16, ge=1, description="Replies for one step of the optimizer.")
    replies_per_context: int = Field(default=4, ge=1, description="Replies to one context kept together in a batch.")
    tokens_per_forward: int = Field(default=8192, ge=256, description="Packed tokens at once; what memory depends on.")
    checkpoint_every_s: float = Field(default=180, ge=0, description="Seconds between checkpoints.")
    log_every_s: float = Field(default=20, ge=0, description="Seconds between progress lines.")

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        if self.start_share and self.adapter is None:
            raise ValueError("start_share needs an adapter to go on from")
        return self


class RewardConfig(_Frozen):
    """What a sampled verdict earns, dimension by dimension."""

    closeness: float = Field(default=1.0, ge=0, description="Weight of bringing the expected score to the rating.")
    ordering: float = Field(default=0.5, ge=0, description="Weight of putting replies to one question in order.")
    ordering_gap: float = Field(default=0.5, gt=0, description="Ratings closer than this have no order.")


class GrpoConfig(_Frozen):
    """A reinforcement run from a supervised adapter."""

    seed: int
    model: ModelConfig
    adapter: Path = Field(description="The supervised adapter: start and reference.")
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    reward: RewardConfig = RewardConfig()
    candidate_contexts: int = Field(ge=1, description="Contexts to look at; they are drawn by reward variance.")
    contexts: int = Field(ge=1, description="Contexts to train on, of the candidates.")
    replies_per_context: int = Field(default=4, ge=1, description="Prompts that share a context.")
    samples: int = Field(default=8, ge=2, description="Verdicts sampled for each prompt (the group of GRPO).")
    prompts_per_step: int = Field(default=8, ge=1, description="Prompts for one step of the optimizer.")
    prompts_per_forward: int = Field(default=8, ge=1, description="Prompts at once; what memory depends on.")
    learning_rate: float = Field(default=5e-5, gt=0)
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    kl: float = Field(default=0.04, ge=0, description="Weight of the divergence from the supervised adapter.")
    temperature: float = Field(default=1.0, gt=0)
    clip_norm: float = Field(default=1.0, gt=0)
    vllm: bool = Field(default=False, description="Sample through vLLM in the training process (needs a GPU).")
    vllm_memory_share: float = Field(default=0.3, gt=0, lt=1, description="Share of the GPU's memory for vLLM.")
    checkpoint_every_steps: int = Field(default=20, ge=1)
    log_every_s: float = Field(default=20, ge=0, description="Seconds between progress lines.")

    @model_validator(mode="after")
    def _whole_parts(self) -> Self:
        if self.prompts_per_step % self.prompts_per_forward:
            raise ValueError("prompts_per_step must be a multiple of prompts_per_forward")
        if self.contexts > self.candidate_contexts:
            raise ValueError("contexts cannot be more than candidate_contexts")
        return self


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def load_config(path: Path, kind: type[ConfigT]) -> ConfigT:
    """Return the configuration at `path`; TrainingConfigError where the file or a field is wrong."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise TrainingConfigError(f"{path}: cannot be read") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise TrainingConfigError(f"{path}: {error}") from error
