"""What the command line reads from the environment; options go before it."""

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CliSettings(BaseSettings):
    """`THERALOOP_…` variables of the command line."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="THERALOOP_", env_ignore_empty=True)

    judge_url: HttpUrl | None = Field(
        default=None, description="Base URL of the judge; none: the local stack's, which says where it is."
    )
    agent_url: HttpUrl | None = Field(default=None, description="Base URL of the agent; none: the local stack's.")
    api_key: SecretStr | None = Field(
        default=None, description="`tl_…`; from the environment only, since other users can see arguments."
    )
    timeout_s: float = Field(
        default=60.0, gt=0.0, description="Seconds a judgment may take; a laptop's first one is slow."
    )
