"""The running stack under a small load, scraped by a real Prometheus with our rules; every panel's query is executed.

What a young stack cannot show is named here: a baseline of hours, or a refusal that did not happen, is no data yet.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml

from ops.grafana.generate import PAGES
from ops.grafana.queries import filled
from services.stack.part import HttpProbe, Part
from services.stack.plan import RunSecrets
from tests.ops.metric_names import ROOT, engine_names
from tests.ops.test_dashboards import panels
from tests.support.real_parts import RealEngine, free_ports, planned_parts, running
from tests.support.tools import tool

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

NEEDS_HISTORY = {"Drift (PSI) by dimension"}
"""Compared with the hours before: a stack of a minute has none."""
NEEDS_CHECKPOINT = {
    "Drift from packaging (PSI)",
    "Golden cases: largest deviation",
    "Golden cases out of tolerance",
}
"""Of a packaged checkpoint: the base model, which judges here, has neither golden cases nor a reference."""
NEEDS_REFINED = {"Mean uplift, 1 h", "Mean uplift by dimension", "Overall uplift"}
"""Only replies that the gate took are counted: with an untrained judge there may be none."""
LOAD = {
    "context": "My dog died last night and the flat is so quiet.",
    "response": "I am so sorry. Losing him must leave a hole in every hour of the day.",
}


@dataclass(frozen=True)
class Watched:
    """A running stack and the Prometheus that scrapes it."""

    prometheus_url: str
    judge_url: str
    agent_url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Execute PromQL now; an error of Prometheus fails the test."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params={"query": expression}, timeout=30)
        assert answer.status_code == httpx.codes.OK, f"{expression}: {answer.text}"
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result


@pytest.fixture(scope="module")
def watched(engine: RealEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Judge, agent and Prometheus on the session's engine."""
    server = tool("prometheus", "Debian: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("watched")
    parts = planned_parts(engine.model, folder, RunSecrets())
    judge, agent = (_on_engine(parts[name], engine.base_url) for name in ("judge", "agent"))
    urls = {part.name: _base_url(part) for part in (judge, agent)}
    prometheus, url = _prometheus(server, folder, urls | {"engine": engine.base_url})
    with running(judge), running(agent), running(prometheus):
        watched = Watched(url, urls["judge"], urls["agent"])
        anyio.run(_small_load, watched)
        yield watched


def _on_engine(part: Part, engine_url: str) -> Part:
    """Return the part on the session's engine, with a cache of its own."""
    without_redis = {k: v for k, v in part.environment.items() if k not in {"REDIS_URL", "THERALOOP_CACHE_KEY"}}
    prefix = f"THERALOOP_{part.name.upper()}"
    environment = without_redis | {f"{prefix}_ENGINE_URL": engine_url, f"{prefix}_LIMITS_DEADLINE_S": "150"}
    return Part(part.name, part.command, part.probe, environment, part.start_timeout_s)


def _base_url(part: Part) -> str:
    assert isinstance(part.probe, HttpProbe)
    return part.probe.url.removesuffix("/readyz")


def _prometheus(server: str, folder: Path, urls: dict[str, str]) -> tuple[Part, str]:
    """Return Prometheus with the committed rules, scraping `urls` each second."""
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "ops/prometheus/rules/*.yml")],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            for name, url in urls.items()
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    (port,) = free_ports(1)
    command = (
        server,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    url = f"http://127.0.0.1:{port}"
    return Part(name="prometheus", command=command, probe=HttpProbe(f"{url}/-/ready")), url


async def _small_load(watched: Watched) -> None:
    """Judge and refine a few replies, some twice; then wait until Prometheus has seen what they left.

    A counter that appears and never grows has no rate: so there is more than one of each.
    """
    async with httpx.AsyncClient(timeout=240) as client:
        for round_number in range(3):
            for case in range(2):
                body = LOAD | {"response": f"{LOAD['response']} {case}"}
                (await client.post(f"{watched.judge_url}/evaluate", json=body)).raise_for_status()
            draft = LOAD | {
                "deadline_ms": 120_000,
                "candidates": 2,
                "max_rounds": 1,
                "response": f"Pets die. Move on. {round_number}",
            }
            answer = await client.post(f"{watched.agent_url}/refine", json=draft | {"region": "GB"})
            assert answer.is_success, f"round {round_number}: {answer.text}"
        done = "sum(theraloop_refine_outcomes_total) >= 3 and on () count(job:theraloop_refine_fallbacks:ratio30m)"
        async with asyncio.timeout(60):
            while not await anyio.to_thread.run_sync(watched.query, done):  # noqa: ASYNC110 - another process's state
                await anyio.sleep(0.5)


def test_every_target_is_up(watched: Watched) -> None:
    up = {result["metric"]["job"]: result["value"][1] for result in watched.query("up")}
    assert up == {"judge": "1", "agent": "1", "engine": "1"}


def test_the_record_of_the_engines_metrics_is_true(watched: Watched) -> None:
    exported = {result["metric"]["__name__"] for result in watched.query('{__name__=~"vllm:.*"}')}
    assert engine_names() <= exported


@pytest.mark.parametrize(
    ("title", "expression"),
    [
        pytest.param(panel["title"], filled(target["expr"], "5m"), id=f"{page.uid}: {panel['title']} {target['refId']}")
        for page in PAGES
        for panel in panels(page)
        for target in panel["targets"]
    ],
)
def test_every_panel_shows_data(watched: Watched, title: str, expression: str) -> None:
    results = watched.query(expression)
    assert results or title in NEEDS_HISTORY | NEEDS_CHECKPOINT | NEEDS_REFINED, expression


def test_our_rules_are_loaded_and_none_fails(watched: Watched) -> None:
    groups = httpx.get(f"{watched.prometheus_url}/api/v1/rules", timeout=30).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == 60
    assert not [rule["name"] for rule in rules if rule["health"] == "err"]
