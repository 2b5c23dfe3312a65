"""The engines as one: requests go to a member that is proven to serve their model; adapters are loaded on each.

An adapter is routed to a member only after `prove` said so for that member. A member that stops listing an adapter
(it was restarted) loses the proof at the next `refresh`, and the hot loader loads and checks it anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from services.deadline import Deadline
from services.errors import Conflict, EngineUnavailable, NotFound, ServiceError
from services.llm.port import LLM, Adapters, CompletionRequest, CompletionResult, Load

_log = structlog.get_logger(__name__)


class Engine(LLM, Adapters, Load, Protocol):
    """One model server."""


@dataclass(slots=True, eq=False)
class Member:
    """One engine of the fleet.

    Attributes:
        name: how operators know it: its address.
        engine: its client.
        up: whether it answered last time it was asked.
        proven: adapters that passed the canary on it.
        in_flight: requests that this process has there.
    """

    name: str
    engine: Engine
    up: bool = True
    proven: set[str] = field(default_factory=set)
    in_flight: int = 0


class EngineFleet:
    """Implements the ports `LLM` and `Adapters` over one or more engines. `loaded` names adapters not yet unloaded."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self._managed: set[str] = set()
        self.loaded: set[str] = set()

    async def complete(self, request: CompletionRequest, deadline: Deadline) -> CompletionResult:
        """Complete on the least busy member that serves the model; another one steps in for one that is down.

        Raises:
            EngineUnavailable: no member serves the model now; and whatever the engine's client raises.
        """
        waiting = self._serving(request.model)
        while waiting:
            member = min(waiting, key=lambda candidate: candidate.in_flight)
            waiting.remove(member)
            member.in_flight += 1
            try:
                return await member.engine.complete(request, deadline)
            except EngineUnavailable:
                if not waiting:
                    raise
                _log.warning("engine_skipped", engine=member.name, kind=request.kind)
            finally:
                member.in_flight -= 1
        raise EngineUnavailable(f"no engine serves {request.model} now")

    async def models(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the names that at least one member serves; raise EngineUnavailable when none answers."""
        listed = await self.refresh(deadline)
        if not any(member.up for member in self.members):
            raise EngineUnavailable("no model server answers")
        return tuple(dict.fromkeys(name for names in listed for name in names))

    async def refresh(self, deadline: Deadline) -> tuple[tuple[str, ...], ...]:
        """Ask every member what it serves, note who is up, and withdraw proofs of what is no longer there."""
        return tuple([await self._ask(member, deadline) for member in self.members])

    async def load_adapter(self, name: str, path: str, deadline: Deadline) -> None:
        """Load on every member that is up; see `Member.proven` for when requests reach it.

        Raises:
            EngineUnavailable: no member is up, or one went away; and whatever the engine's client raises.
        """
        up = [member for member in self.members if member.up]
        if not up:
            raise EngineUnavailable("no model server answers")
        for member in up:
            await self.load_on(member, name, path, deadline)

    async def load_on(self, member: Member, name: str, path: str, deadline: Deadline) -> None:
        """Load on one member; a name that is there already holds the same content, since names carry digests."""
        self._managed.add(name)
        self.loaded.add(name)
        try:
            await member.engine.load_adapter(name, path, deadline)
        except Conflict:
            _log.info("adapter_was_loaded", engine=member.name, checkpoint=name)

    async def unload_adapter(self, name: str, deadline: Deadline) -> None:
        """Unload everywhere; a member that is down or never had it is no hindrance."""
        gone = True
        for member in self.members:
            member.proven.discard(name)
            try:
                await member.engine.unload_adapter(name, deadline)
            except NotFound:
                continue
            except ServiceError as error:
                # A member that is down has lost its adapters by the time it is back.
                gone = gone and not member.up
                _log.warning("adapter_not_unloaded", engine=member.name, checkpoint=name, detail=error.detail)
        if gone:
            self.loaded.discard(name)

    def prove(self, member: Member, name: str) -> None:
        """Let requests for an adapter reach a member: it has passed the canary there."""
        member.proven.add(name)

    def serves(self, name: str) -> dict[str, bool]:
        """Return, for every member, whether requests for a model reach it."""
        serving = self._serving(name)
        return {member.name: member in serving for member in self.members}

    def _serving(self, model: str) -> list[Member]:
        # The base model, and whatever the engine was started with, needs no proof.
        if model not in self._managed:
            return [member for member in self.members if member.up] or list(self.members)
        return [member for member in self.members if model in member.proven]

    async def _ask(self, member: Member, deadline: Deadline) -> tuple[str, ...]:
        try:
            listed = await member.engine.models(deadline)
        except ServiceError as error:
            if member.up:
                _log.warning("engine_down", engine=member.name, detail=error.detail)
            member.up = False
            return ()
        if not member.up:
            _log.info("engine_up", engine=member.name)
        member.up = True
        member.proven &= set(listed)
        return listed
