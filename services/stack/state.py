"""Where a running stack is: one small file, so that `theraloop status` and the other commands find it.

It holds no secret. A file whose supervisor no longer runs counts as none.
"""

from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_FILE_NAME = "stack.json"


class RunningStack(BaseModel):
    """A stack with all parts ready."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int = Field(description="The supervisor's process id.")
    process_started_s: float = Field(description="When that process began, in Unix seconds: tells a reused id apart.")
    model: str = Field(description="The base model's served name.")
    model_path: Path = Field(description="The base model's folder.")
    fingerprint: str = Field(description="The base model's fingerprint.")
    engine_url: str = Field(description="vLLM's server.")
    judge_url: str = Field(description="The judge's API.")
    agent_url: str = Field(description="The agent's API.")
    redis_port: int | None = Field(description="The local Redis, or none: then each service caches in its own process.")


def write_state(state_dir: Path, stack: RunningStack) -> None:
    """Record `stack` as the running one."""
    state_dir.mkdir(parents=True, exist_ok=True)
    fresh = state_dir / f"{_FILE_NAME}.tmp"
    fresh.write_text(stack.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fresh.replace(state_dir / _FILE_NAME)


def read_state(state_dir: Path) -> RunningStack | None:
    """Return the running stack, or None when there is none."""
    try:
        stack = RunningStack.model_validate_json((state_dir / _FILE_NAME).read_bytes())
        alive = psutil.Process(stack.pid).create_time() == stack.process_started_s
    except (OSError, ValidationError, psutil.NoSuchProcess):
        return None
    return stack if alive else None


def clear_state(state_dir: Path) -> None:
    """Forget the running stack."""
    (state_dir / _FILE_NAME).unlink(missing_ok=True)
