from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from services.client import ClientConfig
from services.stack.part import Part
from services.stack.plan import RunSecrets
from tests.support.real_parts import RealEngine, planned_parts, running


@dataclass(frozen=True)
class RealAgent:
    """A running agent with its judge, and how to start the same pair without the judge."""

    config: ClientConfig
    part: Part


def _without_redis(part: Part, engine: RealEngine) -> Part:
    prefix = f"THERALOOP_{part.name.upper()}_ENGINE_URL"
    kept = {name: value for name, value in part.environment.items() if name != "REDIS_URL"}
    return replace(part, environment={**kept, prefix: engine.base_url})


def _url(part: Part) -> str:
    port = part.environment[f"THERALOOP_{part.name.upper()}_BIND_PORT"]
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def agent(engine: RealEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAgent]:
    """A real agent and a real judge, each a process of its own, on the real engine."""
    parts = planned_parts(engine.model, tmp_path_factory.mktemp("agent"), RunSecrets())
    judge, agent = (_without_redis(parts[name], engine) for name in ("judge", "agent"))
    with running(judge), running(agent):
        yield RealAgent(ClientConfig(judge_url=_url(judge), agent_url=_url(agent), timeout_s=130.0), agent)
