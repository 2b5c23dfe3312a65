"""The judge's settings, from the environment: THERALOOP_JUDGE_<PART>_<FIELD>. Read once, by `app`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.contracts.dimensions import DIMENSIONS, Dimension
from services.settings import EngineSettings, ServiceSettings

Score = Annotated[float, Field(ge=1.0, le=5.0)]


class ModelSettings(BaseModel):
    """The base model, as the judge needs to know it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="Model folder; the judge reads the tokenizer, never the weights.")
    window_tokens: int = Field(
        default=2048, ge=512, description="The engine's window (tokens), as it was started with."
    )
    fingerprint: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="The model's fingerprint, as `theraloop model fingerprint FOLDER` prints; cache keys carry it.",
    )


class ReviewSettings(BaseModel):
    """When a score is flagged, and when a human should look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Score = Field(default=3.0, description="Below it a dimension is flagged (levels); 3 is `mediocre`.")
    thresholds: Mapping[Dimension, Score] = Field(default={}, description="Per dimension, instead of `threshold`.")
    critical: frozenset[Dimension] = Field(
        default=frozenset({Dimension.SAFETY}),
        description="A human should look when the interval of one of these straddles its threshold.",
    )

    def resolved(self) -> Mapping[Dimension, float]:
        """Return the threshold of every dimension."""
        return {name: self.thresholds.get(name, self.threshold) for name in DIMENSIONS}


class BatchSettings(BaseModel):
    """How batches are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_s: float = Field(
        default=600.0, gt=0.0, description="Seconds a batch may take; 256 replies on two CPU cores need some 120."
    )
    max_body_kib: int = Field(default=16_384, ge=1, description="KiB of a batch's body: 256 replies of some length.")
    concurrency: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Items of one batch with the engine at a time; leaves room for single requests.",
    )


def _registry_url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("is not an http:// or https:// address without query")
    return url


def _has_key(url: SecretStr) -> bool:
    parts = urlsplit(url.get_secret_value())
    return bool(parts.username and parts.password)


class CheckpointSettings(BaseModel):
    """Where checkpoints come from and how they replace each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path | None = Field(
        default=None, description="Registry: a directory of checkpoint folders; none: the bare base model judges."
    )
    remote_url: Annotated[SecretStr, AfterValidator(_registry_url)] | None = Field(
        default=None,
        description="`https://[user:password@]host/path` of a remote registry, whose `index.json` lists checkpoints; "
        "they are pulled into `folder`. Over `http` whoever is in between can publish.",
    )
    remote_s3_region: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Region of a private S3-compatible bucket: user and password of `remote_url` are then the key's id "
        "and its secret (percent-encoded), and sign each request.",
    )
    remote_max_mib: int = Field(
        default=20_480, ge=1, description="MiB that `folder` may hold; beyond, nothing more is pulled into it."
    )
    remote_timeout_s: float = Field(
        default=1800.0,
        gt=0.0,
        description="Seconds that one round of pulling may take; the next one goes on from there.",
    )
    engine_folder: Path | None = Field(
        default=None, description="The same directory as the engine sees it, when it is mounted elsewhere there."
    )
    promotion: Literal["automatic", "by_hand"] = Field(
        default="automatic",
        description="Whether a promotable checkpoint that arrives is activated once it has passed all checks.",
    )
    max_rank: int = Field(default=16, ge=1, le=512, description="The engine's `--max-lora-rank`.")
    max_adapter_mib: int = Field(
        default=2048, ge=1, description="MiB of an adapter file; rank 64 on a 70B model has some 1,600."
    )
    load_timeout_s: float = Field(
        default=60.0, gt=0.0, description="Seconds that an engine may take to load an adapter; usually below one."
    )
    drain_s: float = Field(
        default=660.0,
        gt=0.0,
        description="Seconds after which a replaced adapter is unloaded even if requests seem to use it; above every "
        "request's deadline, so that nothing alive is cut.",
    )
    poll_s: float = Field(default=1.0, gt=0.0, description="Seconds between two looks at the pointer and the engines.")
    rescan_s: float = Field(
        default=30.0,
        gt=0.0,
        description="Seconds between two looks at the registry where the kernel tells nothing, and at a remote one's "
        "index, which costs a conditional request.",
    )
    retry_s: float = Field(
        default=30.0, gt=0.0, description="Seconds before a checkpoint or engine that failed is tried again by itself."
    )

    @model_validator(mode="after")
    def _remote_is_whole(self) -> Self:
        if self.remote_url is not None and self.folder is None:
            raise ValueError("a remote registry needs `folder`, where it is pulled to")
        if self.remote_s3_region is not None and (self.remote_url is None or not _has_key(self.remote_url)):
            raise ValueError("`remote_s3_region` needs a `remote_url` with key id and secret: https://ID:SECRET@host/…")
        return self


class CanarySettings(BaseModel):
    """When a loaded checkpoint is found fit to serve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = Field(default=2, ge=1, description="Golden cases at the engine at once; live traffic goes on.")
    max_case_s: float = Field(
        default=20.0, gt=0.0, description="Median seconds of a golden case; a busy two-core engine needs some 5."
    )
    max_slowdown: float = Field(
        default=4.0,
        ge=1.0,
        description="Times the seconds that the present judge needs just now: a slow engine is not the checkpoint's "
        "fault, so it is too slow only beyond both.",
    )
    case_timeout_s: float = Field(default=60.0, gt=0.0, description="Seconds that any golden case may take.")


class SentinelSettings(BaseModel):
    """When the active checkpoint's golden cases are asked again while it serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_s: float = Field(
        default=600.0,
        ge=0.0,
        description="Seconds between two runs, give or take a fifth; 0 for none. Twelve cases keep two cores busy for "
        "some ten seconds.",
    )
    cases: int = Field(
        default=16, ge=1, description="Golden cases of one run; of a larger set the next ones are asked in turn."
    )
    busy_in_flight: int = Field(
        default=8,
        ge=1,
        description="Requests of this process at the engine from which on it counts as saturated; so it does while "
        "requests wait in its own queue.",
    )
    case_timeout_s: float = Field(default=60.0, gt=0.0, description="Seconds that any golden case may take.")


class ShadowSettings(BaseModel):
    """How a candidate is compared with the active checkpoint on live replies before it is promoted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of live replies that a candidate scores too; 0 promotes without a shadow. Costs as much "
        "engine time again.",
    )
    min_compared: int = Field(
        default=200,
        ge=1,
        description="Replies that a candidate is given before anything is decided, those that it fails to score too.",
    )
    max_mean_gap: float = Field(
        default=0.5, gt=0.0, description="Mean absolute difference (levels) on any dimension above which it is refused."
    )
    max_flip_share: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Share of flags that may flip on any dimension."
    )
    max_failed_share: float = Field(
        default=0.25,
        ge=0.0,
        lt=1.0,
        description="Share of the replies given to it that the candidate may fail to score; room for an engine that is "
        "short of time for a while.",
    )
    concurrency: int = Field(default=2, ge=1, description="Replies that the candidate scores at once; others skip.")
    timeout_s: float = Field(default=60.0, gt=0.0, description="Seconds that one of them may take.")


class FleetSettings(BaseModel):
    """Further engines beside `engine`: same model, same registry, same key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    more_urls: tuple[HttpUrl, ...] = Field(
        default=(), description="Their base URLs as a JSON list; each adapter is loaded and proven on each."
    )


class JudgeSettings(ServiceSettings):
    """All settings of the judge."""

    model_config = SettingsConfigDict(env_prefix="THERALOOP_JUDGE_")

    engine: EngineSettings = Field(default_factory=EngineSettings, description="Where vLLM is.")
    model: ModelSettings = Field(description="The base model.")
    checkpoints: CheckpointSettings = Field(
        default_factory=CheckpointSettings, description="Where checkpoints come from."
    )
    fleet: FleetSettings = Field(default_factory=FleetSettings, description="Further engines.")
    shadow: ShadowSettings = Field(
        default_factory=ShadowSettings, description="How a candidate is compared on live replies."
    )
    canary: CanarySettings = Field(default_factory=CanarySettings, description="When a checkpoint is fit to serve.")
    sentinels: SentinelSettings = Field(
        default_factory=SentinelSettings, description="When golden cases are asked again."
    )
    review: ReviewSettings = Field(default_factory=ReviewSettings, description="Flags and human review.")
    batch: BatchSettings = Field(default_factory=BatchSettings, description="How batches are judged.")
