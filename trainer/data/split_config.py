"""How ratings are split: the committed YAML `trainer/configs/splits.yaml`, one entry a data set."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from trainer.errors import SplitError

Share = Annotated[float, Field(gt=0, lt=1)]


class QuestionSplit(BaseModel):
    """Whole questions to test, to calibration and, the rest, to train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["question"]
    seed: int
    test: int = Field(ge=1, description="Questions held out for the report.")
    calibration: int = Field(ge=0, description="Questions held out for calibration.")
    held_out_systems: int = Field(default=0, ge=0, description="Systems seen in test alone; 0: test has all systems.")


class AuthoredSplit(BaseModel):
    """Whole kinds of stress pairs held out, and a share of the items of every other kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["authored"]
    seed: int
    held_out_kinds: int = Field(ge=1, description="Kinds of stress pairs that are never trained on.")
    stress_held_out: Share = Field(description="Share of the pairs held out, in each other kind.")
    hard_held_out: Share = Field(description="Share of the hard cases held out, in each kind.")


SplitConfig = Annotated[QuestionSplit | AuthoredSplit, Field(discriminator="method")]
_CONFIGS = TypeAdapter[dict[str, QuestionSplit | AuthoredSplit]](dict[str, SplitConfig])


def load_split_config(path: Path, name: str) -> QuestionSplit | AuthoredSplit:
    """Return the entry `name` of the configuration file; SplitError where the file or the entry is wrong."""
    try:
        configs = _CONFIGS.validate_python(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise SplitError(f"{path}: cannot be read") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise SplitError(f"{path}: {error}") from error
    if name not in configs:
        raise SplitError(f"{path}: no split {name!r}; it has {', '.join(configs)}")
    return configs[name]
