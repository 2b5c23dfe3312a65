"""The trainer's exception tree. The command line prints its message and exits with 1; a bug keeps its traceback.

TrainerError
├── DataError        a source file cannot be read, or its rows cannot be used
│   └── BadRowError  one row is refused, with the reason (and with --strict, the run stops)
├── SplitError       a split cannot be made as configured, or leaks
├── AgreementError   ratings that cannot be compared
├── TrainingConfigError  a run's configuration cannot be used
├── CheckpointError  a run's state cannot be continued from
├── PackagingError   a checkpoint cannot be packaged from what was given
└── OutOfRoomError   memory or disk is full; the message names the setting to change
"""

from typing import Literal

Reason = Literal["missing", "unparseable", "out_of_range", "duplicate", "unknown_field", "inconsistent"]


class TrainerError(Exception):
    """Something the person at the command line can mend; the message says how."""


class DataError(TrainerError):
    """A source file cannot be read as what it was said to be."""


class BadRowError(DataError):
    """One row is refused. `detail` names the field and never quotes the text."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class SplitError(TrainerError):
    """A split cannot be made as configured, or its parts share a question, a context or a response."""


class AgreementError(TrainerError):
    """The ratings given cannot be compared."""


class TrainingConfigError(TrainerError):
    """A training configuration cannot be read, or asks for what cannot be."""


class CheckpointError(TrainerError):
    """The state in a run's folder is not of this run, or is broken."""


class OutOfRoomError(TrainerError):
    """Memory or disk is full."""


class PackagingError(TrainerError):
    """A checkpoint cannot be packaged from what was given."""
