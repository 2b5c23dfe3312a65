"""What happens while a stack starts, runs and stops, for whoever shows it."""

from collections.abc import Callable
from dataclasses import dataclass

from services.engine.progress import Progress


@dataclass(frozen=True)
class Notice:
    """Something a person should know once, such as a missing optional part."""

    text: str


@dataclass(frozen=True)
class PartStarting:
    """A part's process was started."""

    part: str


@dataclass(frozen=True)
class PartReady:
    """A part answers its readiness probe."""

    part: str
    after_s: float


@dataclass(frozen=True)
class PartLog:
    """One line that a part wrote."""

    part: str
    line: str


@dataclass(frozen=True)
class PartCrashed:
    """A part ended by itself; it is started again after a pause."""

    part: str
    exit_status: int
    restart_in_s: float


@dataclass(frozen=True)
class PartStopped:
    """A part was stopped on purpose; none of its processes is left."""

    part: str


StackEvent = Progress | Notice | PartStarting | PartReady | PartLog | PartCrashed | PartStopped
OnEvent = Callable[[StackEvent], None]
