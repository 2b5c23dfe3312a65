"""Why a checkpoint is not served, as one error with a typed reason."""

from services.contracts.checkpoints import RejectionReason


class CheckpointRejected(Exception):
    """The checkpoint must not be served. `detail` names the file and the finding, never a file's content."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
