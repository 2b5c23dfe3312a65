"""`judge.json`: what a checkpoint is, what it was made from, and the digest of each of its files.

No time stamps and no paths: identical inputs give an identical manifest, and so an identical digest.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.dimensions import Dimension
from services.rubric.rubric import Rubric
from services.rubric.template import PromptTemplate

MANIFEST_FILE: Final = "judge.json"
ADAPTER_FILE: Final = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE: Final = "adapter_config.json"
CALIBRATION_FILE: Final = "calibration.json"
GOLDEN_FILE: Final = "golden.jsonl"
AGREEMENT_FILE: Final = "agreement.json"
REFERENCE_FILE: Final = "reference.json"
PAYLOAD_FILES: Final = (ADAPTER_FILE, ADAPTER_CONFIG_FILE, CALIBRATION_FILE, GOLDEN_FILE, AGREEMENT_FILE)
OPTIONAL_FILES: Final = (REFERENCE_FILE,)
"""What a checkpoint may hold beyond `PAYLOAD_FILES`; a judge does without."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class BaseModelReference(BaseModel):
    """The model that the adapter was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Its public name.")
    fingerprint: Sha256 = Field(description="Digest over weights, configuration and tokenizer.")


class TrainingRecord(BaseModel):
    """What the checkpoint was trained with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["sft", "grpo"] = Field(description="The last stage.")
    configuration_sha256: Sha256 = Field(description="Digest of the resolved configuration.")
    data_sha256: Mapping[str, Sha256] = Field(description="Digest of each training file, by name.")
    reference_rater: str = Field(description="Whose ratings it learnt.")


class CheckpointManifest(BaseModel):
    """The manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = Field(default=1, description="Shape of this file.")
    version: Version = Field(description="Name of the checkpoint, unique in a registry.")
    base_model: BaseModelReference = Field(description="What it must be loaded onto.")
    rubric: Rubric = Field(description="The rubric in its prompts.")
    rubric_sha256: Sha256 = Field(description="Digest of that rubric.")
    template: PromptTemplate = Field(description="The wording of its prompts.")
    template_sha256: Sha256 = Field(description="Digest of that wording.")
    level_token_ids: tuple[int, int, int, int, int] = Field(description="Tokens of the levels 1 to 5.")
    lora_rank: int = Field(ge=1, le=512, description="Rank of the adapter.")
    training: TrainingRecord = Field(description="Where it comes from.")
    metrics: Mapping[Dimension, float] = Field(description="ICC(A,1) per answer on held-out questions.")
    promotable: bool = Field(description="Whether it may be activated without force.")
    not_promotable_because: str | None = Field(default=None, description="Why not.")
    files: Mapping[str, Sha256] = Field(description="Digest of each payload file.")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of `judge.json`."""
        return (self.model_dump_json(indent=2) + "\n").encode()

    @property
    def digest(self) -> str:
        """Hex sha256 of `judge.json`; through `files` it covers the whole checkpoint."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def adapter_name(self) -> str:
        """Name of the adapter in the engine: version and content, so that no cache can cross checkpoints."""
        return f"{self.version}-{self.digest[:12]}"
