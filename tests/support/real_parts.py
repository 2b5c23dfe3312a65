"""Real parts for integration tests: started as the local stack starts them, on free ports, and stopped with all they
forked."""

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from services.engine.provision import ProvisionedModel
from services.stack.config import Ports, StackConfig
from services.stack.part import Part, wait_until_ready
from services.stack.plan import RunSecrets, find_redis_server, plan_parts
from services.stack.process import PartProcess

_LOG_LINES_SHOWN = 40


@dataclass(frozen=True)
class RealEngine:
    """A running vLLM server and the model that it serves."""

    base_url: str
    model: ProvisionedModel


@contextmanager
def running(part: Part) -> Iterator[None]:
    """Run one part until the block ends; a part that does not start fails with the end of its log."""
    log: deque[str] = deque(maxlen=_LOG_LINES_SHOWN)
    with start_blocking_portal() as portal:
        process = portal.call(PartProcess.start, part, log.append)
        try:
            wait = partial(
                wait_until_ready,
                part.probe,
                timeout_s=part.start_timeout_s,
                is_alive=lambda: process.is_alive,
            )
            assert portal.call(wait), f"{part.name} did not start:\n" + "\n".join(log)
            yield
        finally:
            portal.call(process.stop, 15.0)


def planned_parts(model: ProvisionedModel, state_dir: Path, run_secrets: RunSecrets) -> dict[str, Part]:
    """Return the local stack's parts on free ports, by name; `redis` is absent where there is no server for it."""
    engine, judge, agent, redis = free_ports(4)
    ports = Ports(engine=engine, judge=judge, agent=agent, redis=redis)
    config = StackConfig(ports=ports, state_dir=state_dir)
    return {part.name: part for part in plan_parts(config, model, find_redis_server(), run_secrets)}


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nothing listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
