"""Why the stack could not run; each text is for a person at a terminal and names the mend."""


class StackError(Exception):
    """Base of all errors of this package."""


class PreflightError(StackError):
    """The machine is not ready: one problem a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class PartFailedError(StackError):
    """A part did not become ready, or crashed too often."""
