"""What a training run is made of: committed YAML, resolved into frozen models and saved with the weights."""

from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_replies: int = Field(default=16, ge=1, description="Replies for one step of the optimizer.")
    replies_per_context: int = Field(default=4, ge=1, description="Replies to one context kept together in a batch.")
    tokens_per_forward: int = Field(default=8192, ge=256, description="Packed tokens at once; what memory depends on.")
    checkpoint_every_s: float = Field(default=180, ge=0, description="Seconds between checkpoints.")
    log_every_s: float = Field(default=20, ge=0, description="Seconds between progress lines.")


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def load_config(path: Path, kind: type[ConfigT]) -> ConfigT:
    """Return the configuration at `path`; TrainingConfigError where the file or a field is wrong."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise TrainingConfigError(f"{path}: cannot be read") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise TrainingConfigError(f"{path}: {error}") from error
