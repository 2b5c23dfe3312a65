"""Swap checkpoints under load on a real engine: failures, wrong labels, and latency in and out of swaps.

    python -m benchmarks.hot_swap --engine http://127.0.0.1:8100 --swaps 20 --clients 4 --out hot_swap.json

Two small random checkpoints are made for the run. The baseline is the same run outside the swaps.
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from judge_service.app import build_app
from judge_service.settings import CheckpointSettings, JudgeSettings, ModelSettings
from services.engine.provision import EMBEDDED, default_cache_dir, provision
from services.llm.vllm import VLLMClient
from services.settings import AuthSettings, CacheSettings, EngineSettings, LimitSettings
from services.telemetry.metrics import PlatformMetrics
from tests.support.real_checkpoints import SEEDS, make_checkpoint
from tests.support.swap_load import SwapRun, percentile, swap_under_load

_VERSIONS = ("amber", "blue")
_PATIENCE_S = 900.0


async def measure(engine_url: str, *, swaps: int, clients: int, rest: int, golden: int, limit_s: float) -> SwapRun:
    """Return what `clients` saw during `swaps` swaps, each proven by `golden` cases, with `rest` replies in between."""
    model = provision(EMBEDDED, default_cache_dir(), lambda _: None)
    engine_settings = EngineSettings.model_validate({"url": engine_url})
    with tempfile.TemporaryDirectory() as folder:
        async with httpx.AsyncClient() as http:
            engine = VLLMClient(engine_settings, http, PlatformMetrics(CollectorRegistry()))
            for seed, version in zip(SEEDS, _VERSIONS, strict=True):
                await make_checkpoint(Path(folder) / version, model, engine, seed=seed, golden_cases=golden)
        settings = JudgeSettings(
            auth=AuthSettings(mode="off"),
            cache=CacheSettings(ttl_s=1),
            engine=engine_settings,
            limits=LimitSettings(rate="100000/minute", deadline_s=_PATIENCE_S),
            model=ModelSettings(folder=model.path, fingerprint=model.fingerprint),
            checkpoints=CheckpointSettings(folder=Path(folder), promotion="by_hand"),
        )
        app = build_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://judge", timeout=_PATIENCE_S) as judge:
                while (await judge.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 - asked over HTTP
                    await asyncio.sleep(0.2)
                return await swap_under_load(judge, _VERSIONS, swaps=swaps, clients=clients, rest=rest, limit_s=limit_s)


def summary(run: SwapRun, *, clients: int) -> dict[str, object]:
    """Return the figures of a run, times in seconds."""
    inside, outside = run.latencies_s(during_swaps=True), run.latencies_s(during_swaps=False)
    p99_in, p99_out = percentile(inside, 0.99), percentile(outside, 0.99)
    swap_s = [end - begin for begin, end in run.swaps_s]
    return {
        "swaps": len(run.swaps_s),
        "clients": clients,
        "replies": len(run.replies),
        "of_these_cached": sum(reply.cached for reply in run.replies),
        "replies_by_label": dict(Counter(reply.label for reply in run.replies)),
        "failures": run.failures,
        "label_mismatches": run.mismatches,
        "largest_distance_to_nearest_distribution": round(max(reply.distance for reply in run.replies), 3),
        "swap_s": {"median": round(percentile(swap_s, 0.5), 2), "largest": round(max(swap_s), 2)},
        "latency_in_swaps_s": {"n": len(inside), "p50": round(percentile(inside, 0.5), 2), "p99": round(p99_in, 2)},
        "latency_outside_s": {"n": len(outside), "p50": round(percentile(outside, 0.5), 2), "p99": round(p99_out, 2)},
        "p99_ratio": round(p99_in / p99_out, 2),
    }


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="http://127.0.0.1:8100")
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rest", type=int, default=12, help="replies of each client between two swaps: the baseline")
    parser.add_argument("--golden", type=int, default=3)
    parser.add_argument("--limit-s", type=float, default=3600.0, help="begin no further swap after this many seconds")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    run = asyncio.run(
        measure(
            options.engine,
            swaps=options.swaps,
            clients=options.clients,
            rest=options.rest,
            golden=options.golden,
            limit_s=options.limit_s,
        )
    )
    figures = json.dumps(summary(run, clients=options.clients), indent=2)
    print(figures)
    if options.out:
        options.out.write_text(figures + "\n")


if __name__ == "__main__":
    main()
