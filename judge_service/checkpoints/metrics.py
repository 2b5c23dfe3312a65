"""What operators see of checkpoints: steps and their time, what is active, the pointer, the engines, the shadow."""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.contracts.checkpoints import CheckpointState

_STAGE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_GAP_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


class CheckpointMetrics:
    """The hot loader's instruments on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.transitions = Counter(
            "theraloop_checkpoint_transitions_total",
            "Steps of checkpoints, by the state entered and why (`ok` when all went as it should).",
            ("to", "reason"),
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "theraloop_checkpoint_stage_seconds",
            "Time that a checkpoint spent in a state before it left it.",
            ("state",),
            buckets=_STAGE_BUCKETS_S,
            registry=registry,
        )
        self.checkpoints = Gauge("theraloop_checkpoints", "Checkpoints known, by state.", ("state",), registry=registry)
        self.active = Gauge(
            "theraloop_checkpoint_active_info", "1 for the judge that answers here.", ("checkpoint",), registry=registry
        )
        self.generation = Gauge(
            "theraloop_checkpoint_pointer_generation", "Generation of the pointer followed here.", registry=registry
        )
        self.converged = Gauge(
            "theraloop_checkpoint_converged", "1 when this replica serves what the pointer says.", registry=registry
        )
        self.pointer_up = Gauge(
            "theraloop_checkpoint_pointer_reachable", "1 when the pointer could be read just now.", registry=registry
        )
        self.engines = Gauge(
            "theraloop_checkpoint_engine_serves",
            "1 for an engine that is proven to serve the active judge.",
            ("engine",),
            registry=registry,
        )
        self.pulls = Counter(
            "theraloop_checkpoint_pulls_total",
            "Checkpoints pulled from the remote registry, and rounds that failed, by outcome: `pulled`, a rejection "
            "reason, `unavailable`, `unfinished`, `no_room`.",
            ("outcome",),
            registry=registry,
        )
        self.mirrored = Gauge(
            "theraloop_checkpoint_registry_mirrored",
            "1 when all that the remote registry lists is here; 1 too without a remote registry.",
            registry=registry,
        )
        self.mirrored.set(1)
        self.shadow_gap = Histogram(
            "theraloop_checkpoint_shadow_gap",
            "Absolute difference between the candidate's and the active checkpoint's score (levels).",
            ("dimension",),
            buckets=_GAP_BUCKETS,
            registry=registry,
        )
        self.shadow_flips = Counter(
            "theraloop_checkpoint_shadow_flips_total",
            "Live replies that the candidate puts on the other side of the flag threshold.",
            ("dimension",),
            registry=registry,
        )
        self.shadow_scored = Counter(
            "theraloop_checkpoint_shadow_scored_total",
            "Live replies given to the candidate, by outcome: compared, failed, skipped.",
            ("outcome",),
            registry=registry,
        )

    def count_states(self, states: Iterable[CheckpointState]) -> None:
        """Publish how many checkpoints are in each state."""
        tally = Tally(states)
        for state in CheckpointState:
            self.checkpoints.labels(state).set(tally[state])

    def show_active(self, label: str) -> None:
        """Publish the one judge that answers."""
        self.active.clear()
        self.active.labels(label).set(1)

    def show_engines(self, serving: Mapping[str, bool]) -> None:
        """Publish which engines serve the active judge."""
        for engine, serves in serving.items():
            self.engines.labels(engine).set(serves)
