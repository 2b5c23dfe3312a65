from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.checkpoint.manifest import CheckpointManifest
from services.llm.vllm import VLLMClient
from services.settings import EngineSettings
from services.telemetry.metrics import PlatformMetrics
from tests.support.real_checkpoints import SEEDS, make_checkpoint
from tests.support.real_parts import RealEngine


@pytest.fixture
async def engine_client(engine: RealEngine) -> AsyncIterator[VLLMClient]:
    """A client of the real engine that the test speaks to itself."""
    async with httpx.AsyncClient() as http:
        settings = EngineSettings.model_validate({"url": engine.base_url})
        yield VLLMClient(settings, http, PlatformMetrics(CollectorRegistry()))


@pytest.fixture
async def two_checkpoints(
    engine: RealEngine, engine_client: VLLMClient, tmp_path: Path
) -> tuple[CheckpointManifest, CheckpointManifest]:
    """Two checkpoints, `amber` and `blue`, in a folder beside the registry: nothing has arrived yet."""
    store = tmp_path / "made"
    store.mkdir()
    first = await make_checkpoint(store / "amber", engine.model, engine_client, seed=SEEDS[0])
    second = await make_checkpoint(store / "blue", engine.model, engine_client, seed=SEEDS[1])
    return first, second
