"""What the registry holds, as records: new folders become `discovered`, vanished ones are marked, arrivals queue up."""

import structlog

from judge_service.checkpoints.lifecycle import CheckpointRecord, Lifecycle
from judge_service.checkpoints.registry import Registry
from services.errors import ServiceError

_log = structlog.get_logger(__name__)


class Inventory:
    """Keeps the records in step with the registry.

    `arrivals` are versions that came while this process ran, the oldest first.
    """

    def __init__(self, registry: Registry, lifecycle: Lifecycle) -> None:
        self.arrivals: list[str] = []
        self._registry = registry
        self._lifecycle = lifecycle

    async def look(self, *, arrivals: bool = True) -> list[CheckpointRecord]:
        """Look once and return the records of what is there, the newest first; none when it cannot be read."""
        try:
            found = await self._registry.scan()
        except ServiceError as error:
            _log.warning("registry_unreadable", detail=error.detail)
            return []
        for version, path in reversed(tuple(found.items())):
            if not self._lifecycle.knows(version):
                self._lifecycle.discover(version, path)
                if arrivals:
                    self.arrivals.append(version)
        for record in self._lifecycle:
            present = record.version in found
            if record.present and not present:
                _log.warning("checkpoint_folder_gone", checkpoint=record.version, state=str(record.state))
            record.present = present
        return [self._lifecycle.get(version) for version in found]

    async def watch(self) -> None:
        """Look whenever something may have changed, for ever."""
        async for _ in self._registry.changes():
            await self.look()
