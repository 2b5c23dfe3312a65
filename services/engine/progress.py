"""What a long step reports while it runs: provisioning, conversion, engine start."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One line for the person who waits."""

    step: str
    """A short name of the step, such as `download`, `convert` or `verify`."""
    detail: str
    """What happens now, in words."""
    done: int = 0
    """Parts finished."""
    total: int = 0
    """Parts in all; 0 when the step cannot be counted."""


OnProgress = Callable[[Progress], None]
