"""The settings that services share, as frozen pieces with unit, default and reason, and the base that embeds them.

A service subclasses `ServiceSettings` with its prefix; the piece and field name the variable:
`THERALOOP_JUDGE_BIND_PORT`, `THERALOOP_JUDGE_LIMITS_MAX_IN_FLIGHT`. The cache is also read from `THERALOOP_CACHE_…`,
which both services share, and `REDIS_URL`. Unsafe values stop the start. Built once, by the service's entry; nothing
else reads the environment.
"""

import base64
import binascii
import ipaddress
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from services.web.keys import KeyRecord

CACHE_KEY_BYTES = 32


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S]) -> S:
    """Return the settings of a service, read from the environment.

    Raises:
        SystemExit: with status 2, after one line on standard error per variable that is wrong; values are not shown.
    """
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            variable = (kind.model_config["env_prefix"] + "_".join(map(str, problem["loc"][:2]))).upper().rstrip("_")
            sys.stderr.write(f"{variable}: {problem['msg'].removeprefix('Value error, ')}\n")
    except SettingsError as error:
        sys.stderr.write(f"{kind.__name__}: {error}; lists and objects are given as JSON\n")
    raise SystemExit(2)


def _cache_key(key: SecretStr) -> SecretStr:
    try:
        raw = base64.b64decode(key.get_secret_value(), validate=True)
    except binascii.Error:
        raise ValueError("is not base64; make one with `theraloop keys cache`") from None
    if len(raw) != CACHE_KEY_BYTES:
        raise ValueError("is not 32 bytes; make one with `theraloop keys cache`")
    return key


class BindSettings(BaseModel):
    """Where the service listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1",
        description="Address to bind; loopback unless said otherwise, so that nothing is open by accident.",
    )
    port: int = Field(default=8080, ge=1, le=65_535, description="TCP port.")
    drain_s: int = Field(
        default=30,
        ge=0,
        description="Seconds that requests in flight get after a stop signal; below the orchestrator's kill.",
    )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class AuthSettings(BaseModel):
    """Who may call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["keys", "off"] = Field(
        default="keys", description="`off` lets everybody in and is refused unless the bind is loopback."
    )
    keys_file: Path | None = Field(
        default=None,
        description='JSON file `{"keys": [{"name", "sha256", "scopes"}]}`, as `theraloop keys new` prints.',
    )
    keys: tuple[KeyRecord, ...] = Field(
        default=(), description="The same records as a JSON list, for environments without files."
    )


class CacheSettings(BaseSettings):
    """Where answers are remembered. Also read from `THERALOOP_CACHE_…`, and `REDIS_URL`, for all services at once."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="THERALOOP_CACHE_", populate_by_name=True)

    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("redis_url", "THERALOOP_CACHE_REDIS_URL", "REDIS_URL"),
        description="`redis://[:password@]host:port/db` or `rediss://…`; none: a cache in the process, lost with it.",
    )
    key: Annotated[SecretStr, AfterValidator(_cache_key)] | None = Field(
        default=None,
        description="32 random bytes in base64 that seal keys and values; needed with Redis, drawn at random without.",
    )
    ttl_s: int = Field(
        default=86_400,
        ge=1,
        description="Seconds an answer is kept; a day, since keys name the checkpoint and never go stale.",
    )
    timeout_ms: int = Field(
        default=100,
        ge=1,
        description="Milliseconds one Redis operation may take; far above its usual one, far below a judgment.",
    )
    memory_mib: int = Field(default=64, ge=1, description="MiB of the in-process cache; some 50,000 judgments.")

    @model_validator(mode="after")
    def _redis_needs_a_key(self) -> Self:
        if self.redis_url is not None and self.key is None:
            raise ValueError(
                "a Redis URL needs THERALOOP_CACHE_KEY (`theraloop keys cache` makes one): values are encrypted at rest"
            )
        return self


class EngineSettings(BaseModel):
    """Where the model server is and how much is asked of it at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8100"), description="Base URL of vLLM's server, without `/v1`."
    )
    api_key: SecretStr | None = Field(default=None, description="vLLM's `--api-key`, when it has one.")
    model: str | None = Field(
        default=None, description="Name of the base model as the engine serves it; none: the first it lists."
    )
    max_concurrency: int = Field(
        default=64, ge=1, description="Requests at the engine at once from this process; vLLM batches them itself."
    )
    max_queue: int = Field(
        default=256,
        ge=0,
        description="Requests that may wait for a slot before more are refused with 429: one full batch.",
    )


class LimitSettings(BaseModel):
    """What one service accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: str = Field(
        default="600/minute", description="Per key, in the `limits` notation, for example `600/minute` or `20/second`."
    )
    max_in_flight: int = Field(
        default=128,
        ge=1,
        description="Admitted requests at once; above, 429 with Retry-After rather than a growing queue.",
    )
    max_body_kib: int = Field(
        default=1024, ge=1, description="KiB of a request body; the longest text allowed fits several times over."
    )
    deadline_s: float = Field(
        default=30.0, gt=0, description="Seconds a request may take at most; a client's X-Deadline-Ms only shortens it."
    )


class ServiceSettings(BaseSettings):
    """What every service's settings hold;

    a service subclasses it with its own `env_prefix` and `env_nested_*` left as they are.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="THERALOOP_", env_nested_delimiter="_", env_nested_max_split=1
    )

    bind: BindSettings = Field(default_factory=BindSettings, description="Where the service listens.")
    auth: AuthSettings = Field(default_factory=AuthSettings, description="Who may call.")
    cache: CacheSettings = Field(default_factory=CacheSettings, description="Where answers are remembered.")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="What is accepted.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )
    tracing: Literal["off", "otlp"] = Field(
        default="off",
        description="`otlp` sends traces over OTLP/HTTP, configured by OpenTelemetry's OTEL_* variables; needs the "
        "extra `tracing`.",
    )

    @model_validator(mode="after")
    def _tracing_is_installed(self) -> Self:
        if self.tracing != "off" and find_spec("opentelemetry") is None:
            raise ValueError("tracing is on and OpenTelemetry is not installed: `pip install theraloop[tracing]`")
        return self

    @model_validator(mode="after")
    def _open_only_to_itself(self) -> Self:
        if self.auth.mode == "off" and not self.bind.loopback:
            raise ValueError("auth is off and the bind is not loopback; set auth keys, or bind to 127.0.0.1")
        if self.auth.mode == "keys" and not self.auth.keys and self.auth.keys_file is None:
            raise ValueError(
                "auth needs keys: set keys_file or keys (`theraloop keys new` makes one), or mode `off` on loopback"
            )
        return self
