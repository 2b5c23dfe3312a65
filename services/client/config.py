"""Where the judge and the agent are, and how a client behaves towards them."""

from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr

from services.llm.retry import RetryPolicy

LOCAL_JUDGE_URL: Final = "http://127.0.0.1:8101"
LOCAL_AGENT_URL: Final = "http://127.0.0.1:8102"
PROXYLESS_HOSTS: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""Reached directly, whatever proxy the environment names: no proxy can reach this machine's loopback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """One deployment, as a partner app sees it. The defaults are the local stack of `theraloop up`."""

    judge_url: str = LOCAL_JUDGE_URL
    """Base URL of the judge's API; may carry a path."""
    agent_url: str = LOCAL_AGENT_URL
    """Base URL of the agent's API; may carry a path."""
    api_key: SecretStr | None = None
    """`tl_…`, sent as a bearer token; None where the services run without keys."""
    timeout_s: float = 30.0
    """A call's deadline when the caller gives none."""
    batch_timeout_s: float = 600.0
    """The same for a batch."""
    change_timeout_s: float = 300.0
    """The same for a change of checkpoint: it is verified, loaded and tried on golden cases first."""
    connect_timeout_s: float = 2.0
    """How long a connection may take to open; a service that is there opens it at once."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """Attempts in all, their jitter, and the budget that all calls of one client share."""
