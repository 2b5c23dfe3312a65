"""Which metrics exist: those that the services register, those that the pinned engine exports, those that rules record.

The services' names come from the instruments themselves. The engine's are recorded from a running vLLM (the integration
test holds the record to the truth), so that dashboards and rules are checked in seconds.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import promql_parser
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from agent_service.metrics import RefineMetrics
from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.health.metrics import GoldenMetrics, ReferenceCollector
from judge_service.metrics import JudgeMetrics
from services.telemetry.metrics import PlatformMetrics, process_registry

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "ops/prometheus/rules").glob("*.yml"))
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "info": ("_info",)}
_WITHOUT_SUM = frozenset({"theraloop_refine_uplift"})
"""Histograms with negative buckets: prometheus_client exports no sum of them."""
_FROM_PROMETHEUS_ITSELF = frozenset({"up"})


def registered_names() -> frozenset[str]:
    """Return the names of all series that the judge and the agent can export."""
    registry = process_registry()
    PlatformMetrics(registry)
    JudgeMetrics(registry)
    CheckpointMetrics(registry)
    GoldenMetrics(registry)
    registry.register(ReferenceCollector(ActiveJudge()))
    RefineMetrics(registry)
    return _series_of(registry)


def engine_names() -> frozenset[str]:
    """Return the names that the pinned vLLM exports, as recorded."""
    lines = (Path(__file__).parent / "vllm_metrics.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def recorded_names() -> frozenset[str]:
    """Return the names that recording rules make."""
    return frozenset(str(rule["record"]) for rule in rules() if "record" in rule)


@cache
def known_names() -> frozenset[str]:
    """Return every name that a query may use."""
    return registered_names() | engine_names() | recorded_names() | _FROM_PROMETHEUS_ITSELF


@cache
def rules() -> list[dict[str, object]]:
    """Return all rules of all files."""
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in RULE_FILES]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def names_in(expression: str) -> frozenset[str]:
    """Return the metric names that a PromQL expression selects.

    Raises:
        ValueError: it is not PromQL.
    """
    found: set[str] = set()

    def note(node: object) -> None:
        selector = getattr(node, "vector_selector", node)
        if isinstance(selector, promql_parser.VectorSelector):
            assert selector.name, f"a selector without a name in {expression}"
            found.add(selector.name)

    promql_parser.walk(promql_parser.parse(expression), note)
    return frozenset(found)


def _series_of(registry: CollectorRegistry) -> frozenset[str]:
    families: Iterable[Metric] = registry.collect()
    names = frozenset(family.name + suffix for family in families for suffix in _SUFFIXES[family.type])
    return names - {f"{name}_sum" for name in _WITHOUT_SUM}
