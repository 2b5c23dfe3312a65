"""What a person may choose about the local stack."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import platformdirs

from services.engine.provision import EMBEDDED, default_cache_dir


def default_state_dir() -> Path:
    """Return where a running stack says where it is (`$XDG_STATE_HOME/theraloop` or `~/.local/state/theraloop`)."""
    return platformdirs.user_state_path("theraloop")


def released_checkpoints() -> Path | None:
    """Return the folder of the judge checkpoints that come with the project, where `make train` publishes too.

    None where the trainer is not installed: then the bare base model judges.
    """
    return _beside_trainer("released")


def released_roles() -> Path | None:
    """Return the folder of the role adapters that come with the project; None where the trainer is not installed."""
    return _beside_trainer("released_roles")


def _beside_trainer(name: str) -> Path | None:
    trainer = find_spec("trainer")
    if trainer is None or trainer.origin is None:
        return None
    folder = Path(trainer.origin).parent / name
    return folder if folder.is_dir() else None


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Loopback ports of the parts."""

    engine: int = 8100
    judge: int = 8101
    agent: int = 8102
    redis: int = 8103


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """One local stack."""

    model: str = EMBEDDED
    """`embedded`, a model folder, or a hub id."""
    device: Literal["cpu", "gpu"] = "cpu"
    window_tokens: int = 2048
    """The engine's window: prompt and completion together."""
    kv_cache_gib: int = 1
    ports: Ports = field(default_factory=Ports)
    checkpoints: Path | None = field(default_factory=released_checkpoints)
    """The judge's registry; None: the bare base model judges."""
    roles: Path | None = field(default_factory=released_roles)
    """Released role adapters; None, or none that fits the model: the base model plays the roles."""
    cache_dir: Path = field(default_factory=default_cache_dir)
    state_dir: Path = field(default_factory=default_state_dir)
    engine_start_timeout_s: float = 600.0
    """A first start on a slow disk reads gigabytes of libraries."""
    service_start_timeout_s: float = 180.0
    """A judge proves its checkpoint on golden cases before it is ready: seconds, minutes on a busy machine."""
