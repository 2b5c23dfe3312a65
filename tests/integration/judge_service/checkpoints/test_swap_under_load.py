"""Twenty swaps on a real engine under continuous load: nobody notices, and every label tells the truth."""

from pathlib import Path

import anyio
import httpx
import pytest

from judge_service.app import build_app
from judge_service.settings import CheckpointSettings
from services.checkpoint.manifest import CheckpointManifest
from services.settings import CacheSettings
from tests.integration.judge_service.conftest import judge_settings
from tests.support.real_parts import RealEngine
from tests.support.swap_load import swap_under_load

pytestmark = [pytest.mark.integration, pytest.mark.soak, pytest.mark.anyio, pytest.mark.timeout(3600)]

SWAPS, CLIENTS = 20, 4


async def test_no_request_fails_and_every_label_matches_its_scores(
    engine: RealEngine, two_checkpoints: tuple[CheckpointManifest, CheckpointManifest], tmp_path: Path
) -> None:
    settings = judge_settings(
        engine,
        cache=CacheSettings(ttl_s=1),
        checkpoints=CheckpointSettings(folder=tmp_path / "made", promotion="by_hand"),
    )
    app = build_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://judge", timeout=600.0) as judge:
            while (await judge.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 - over HTTP
                await anyio.sleep(0.1)
            run = await swap_under_load(judge, ("amber", "blue"), swaps=SWAPS, clients=CLIENTS)
            known = (await judge.get("/checkpoints")).json()
            metrics = (await judge.get("/metrics")).text
    assert run.failures == []
    assert run.mismatches == 0
    assert {reply.label for reply in run.replies} == {manifest.adapter_name for manifest in two_checkpoints}
    assert known["active"] == two_checkpoints[1].adapter_name
    assert len(run.swaps_s) == SWAPS
    # The start, one activation of each to learn its scores, and the swaps.
    assert f'theraloop_checkpoint_transitions_total{{reason="ok",to="active"}} {SWAPS + 3}.0' in metrics
