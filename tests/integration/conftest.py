"""Real parts, started once a session: the engine on the embedded model, and a Redis (or Valkey) server.

Set THERALOOP_TEST_ENGINE_URL to use a running engine with the embedded model instead of starting one.
"""

import os
from collections.abc import Iterator

import pytest

from services.engine.provision import EMBEDDED, ProvisionedModel, default_cache_dir, provision
from services.stack.plan import RunSecrets
from tests.support.real_parts import RealEngine, planned_parts, running


@pytest.fixture(scope="session")
def embedded_model() -> ProvisionedModel:
    """The embedded model, from the user's cache; made there the first time (minutes)."""
    return provision(EMBEDDED, default_cache_dir(), lambda _: None)


@pytest.fixture(scope="session")
def engine(embedded_model: ProvisionedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEngine]:
    """A real vLLM server on the embedded model."""
    if url := os.environ.get("THERALOOP_TEST_ENGINE_URL"):
        yield RealEngine(url.rstrip("/"), embedded_model)
        return
    part = planned_parts(embedded_model, tmp_path_factory.mktemp("engine"), RunSecrets())["engine"]
    port = part.command[part.command.index("--port") + 1]
    with running(part):
        yield RealEngine(f"http://127.0.0.1:{port}", embedded_model)


@pytest.fixture(scope="session")
def redis_url(embedded_model: ProvisionedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server's URL, password included."""
    parts = planned_parts(embedded_model, tmp_path_factory.mktemp("redis"), RunSecrets())
    if "redis" not in parts:
        pytest.fail("no Redis or Valkey server: run `make setup`, or install redis-server")
    with running(parts["redis"]):
        yield parts["judge"].environment["REDIS_URL"]
