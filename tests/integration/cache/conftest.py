"""A real server for each test: starting one takes some tens of milliseconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a running server."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
