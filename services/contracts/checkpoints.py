"""`/checkpoints`: which judge checkpoints there are, what state each is in, and what all replicas should serve.

The states and reasons are the vocabulary of the hot loader, its metrics, its audit trail and the command line alike.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.dimensions import Dimension

Version = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name of a checkpoint.")]


class CheckpointState(StrEnum):
    """Where a checkpoint is on its way; `judge_service.checkpoints.lifecycle` says which step may follow which."""

    DISCOVERED = "discovered"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    LOADING = "loading"
    CANARY = "canary"
    SHADOW = "shadow"
    ACTIVE = "active"
    DRAINING = "draining"
    RETIRED = "retired"
    REJECTED = "rejected"


class RejectionReason(StrEnum):
    """Why a checkpoint is not served."""

    MISSING_FILE = "missing_file"
    NOT_A_REGULAR_FILE = "not_a_regular_file"
    PATH_ESCAPE = "path_escape"
    OVERSIZE = "oversize"
    UNLISTED_FILE = "unlisted_file"
    UNREADABLE = "unreadable"
    MANIFEST_INVALID = "manifest_invalid"
    PAYLOAD_INVALID = "payload_invalid"
    DIGEST_MISMATCH = "digest_mismatch"
    RUBRIC_MISMATCH = "rubric_mismatch"
    TEMPLATE_MISMATCH = "template_mismatch"
    NOT_SAFETENSORS = "not_safetensors"
    WRONG_BASE_MODEL = "wrong_base_model"
    LEVEL_TOKENS_MISMATCH = "level_tokens_mismatch"
    RANK_TOO_HIGH = "rank_too_high"
    ENGINE_REFUSED = "engine_refused"
    GOLDEN_SCORES_OFF = "golden_scores_off"
    ADAPTER_DID_NOT_ANSWER = "adapter_did_not_answer"
    TOO_SLOW = "too_slow"
    SHADOW_DISAGREES = "shadow_disagrees"
    NOT_PROMOTABLE = "not_promotable"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class CheckpointTransition(_Wire):
    """One step of a checkpoint, as this replica took it."""

    to: CheckpointState = Field(description="The state entered.")
    at: datetime = Field(description="When, by this replica's clock (UTC).")
    after_s: float = Field(ge=0.0, description="Seconds spent in the state before.")
    reason: str | None = Field(default=None, description="Why, as a word that metrics carry too.")
    detail: str | None = Field(default=None, description="Why, in a sentence.")


class ShadowReport(_Wire):
    """How a candidate's scores compare with the active checkpoint's on the same live replies."""

    compared: int = Field(ge=0, description="Replies that both have scored.")
    failed: int = Field(ge=0, description="Replies that the candidate failed to score.")
    mean_gap: Mapping[Dimension, float] = Field(description="Mean absolute difference of scores (levels).")
    bias: Mapping[Dimension, float] = Field(description="Mean of candidate minus active (levels).")
    flips: Mapping[Dimension, float] = Field(description="Share of replies on the other side of the flag threshold.")


class CheckpointView(_Wire):
    """One checkpoint, as this replica knows it."""

    version: str = Field(description="Its name: the folder's.")
    label: str | None = Field(description="What judgments carry as `checkpoint`; known once verified.")
    digest: str | None = Field(description="Sha256 of its manifest, through which it covers all files.")
    state: CheckpointState = Field(description="Where it is on its way.")
    reason: str | None = Field(default=None, description="Why it is there; the rejection reason when rejected.")
    detail: str | None = Field(default=None, description="The same in a sentence.")
    present: bool = Field(description="Whether its folder is in the registry now.")
    promotable: bool | None = Field(default=None, description="Whether it may be activated without force.")
    not_promotable_because: str | None = Field(default=None, description="Why not.")
    base_model: str | None = Field(default=None, description="Name of the model that it belongs on.")
    lora_rank: int | None = Field(default=None, description="Rank of the adapter.")
    training_method: str | None = Field(default=None, description="The last training stage.")
    metrics: Mapping[Dimension, float] = Field(default={}, description="ICC(A,1) per answer on held-out questions.")
    in_flight: int = Field(default=0, ge=0, description="Requests that this replica is judging with it.")
    shadow: ShadowReport | None = Field(default=None, description="Comparison with the active one, when it shadows.")
    history: tuple[CheckpointTransition, ...] = Field(default=(), description="Latest steps, oldest first.")


class PointerTarget(_Wire):
    """A checkpoint as the pointer names it: by version and content."""

    version: str = Field(description="Its name.")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="Sha256 of its manifest.")


class Pointer(_Wire):
    """What all replicas should serve. One value, replaced as a whole; a higher generation wins."""

    generation: int = Field(ge=1, description="Raised by one with each change; never by a clock.")
    target: PointerTarget = Field(description="The checkpoint to serve.")
    trail: tuple[PointerTarget, ...] = Field(default=(), max_length=16, description="Served before, the latest last.")


class ReplicaReport(_Wire):
    """What one judge replica serves."""

    replica: str = Field(description="The process.")
    generation: int = Field(ge=0, description="Generation of the pointer that it follows; 0 for none.")
    serving: str | None = Field(description="Label of its active judge.")
    holds: tuple[str, ...] = Field(description="Labels that it still needs loaded: active, draining, shadow, canary.")
    engines: Mapping[str, bool] = Field(description="Its engines, and whether each serves the active judge.")
    trouble: str | None = Field(default=None, description="Why it does not serve what the pointer says.")


class AuditEntry(_Wire):
    """Who changed what; kept with the pointer, the latest first."""

    at: datetime = Field(description="When, by the clock of the replica that did it (UTC); the order is the store's.")
    action: str = Field(description="`begin`, `activate`, `promote`, `rollback` or `retire`.")
    version: str = Field(description="The checkpoint.")
    digest: str | None = Field(description="Its content.")
    by: str = Field(description="Name of the API key, or `automatic`.")
    replica: str = Field(description="Where it was asked for.")
    generation: int = Field(ge=0, description="Generation of the pointer after it.")
    forced: bool = Field(default=False, description="Whether a checkpoint that is not promotable was forced.")


class CheckpointList(_Wire):
    """`GET /checkpoints`."""

    active: str | None = Field(description="Label of the judge that answers here; `base:…` is the bare base model.")
    replica: str = Field(description="The process that answers.")
    pointer: Pointer | None = Field(description="What all replicas should serve; none before the first activation.")
    pointer_store: str = Field(description="Where the pointer lives: `redis` or `process`.")
    pointer_reachable: bool = Field(description="Whether it could be read just now; if not, this replica stays put.")
    registry_trouble: str | None = Field(
        default=None, description="Why the folder lacks something that the remote registry lists."
    )
    checkpoints: tuple[CheckpointView, ...] = Field(description="All, by name.")
    replicas: tuple[ReplicaReport, ...] = Field(description="All replicas that reported lately.")
    audit: tuple[AuditEntry, ...] = Field(description="Latest changes, the latest first.")


class ActivateRequest(BaseModel):
    """`POST /checkpoints/{version}/activate`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    force: bool = Field(default=False, description="Also activate what is not promotable; never what fails a check.")


class RollbackRequest(BaseModel):
    """`POST /checkpoints/rollback`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_version: str | None = Field(
        default=None,
        description="The version to leave. When it is not the active one (any more) nothing happens: safe to repeat.",
    )
