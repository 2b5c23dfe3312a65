"""What operators see of the judge's health: golden cases asked again, and the score distribution to compare with."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from judge_service.checkpoints.active import ActiveJudge
from judge_service.golden import Scores


class GoldenMetrics:
    """The sentinels' instruments on one registry. Gauges speak of one checkpoint: the last that was asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter(
            "theraloop_judge_golden_runs_total",
            "Runs of the golden cases on one engine, by outcome: scored, or why not.",
            ("outcome",),
            registry=registry,
        )
        self.deviation = Gauge(
            "theraloop_judge_golden_deviation",
            "Largest absolute difference between a golden case's score now and at packaging (levels).",
            ("checkpoint", "engine", "dimension"),
            registry=registry,
        )
        self.off = Gauge(
            "theraloop_judge_golden_off_ratio",
            "Share of the golden cases of the last run that were out of their tolerance.",
            ("checkpoint", "engine"),
            registry=registry,
        )
        self.scored_at = Gauge(
            "theraloop_judge_golden_last_scored_timestamp_seconds",
            "When the golden cases were last scored (Unix time).",
            ("checkpoint", "engine"),
            registry=registry,
        )
        self._checkpoint: str | None = None

    def show(self, checkpoint: str, engine: str, deviations: Scores, off_share: float) -> None:
        """Publish a scored run, and nothing more of another checkpoint."""
        if checkpoint != self._checkpoint:
            for gauge in (self.deviation, self.off, self.scored_at):
                gauge.clear()
            self._checkpoint = checkpoint
        for name, deviation in deviations.items():
            self.deviation.labels(checkpoint, engine, name).set(deviation)
        self.off.labels(checkpoint, engine).set(off_share)
        self.scored_at.labels(checkpoint, engine).set_to_current_time()


class ReferenceCollector(Collector):
    """Exports the reference of whatever judge is active at the moment of the scrape."""

    def __init__(self, judges: ActiveJudge) -> None:
        self._judges = judges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one family; it is empty when the active judge has no reference."""
        family = GaugeMetricFamily(
            "theraloop_judge_reference_share",
            "Share of the active checkpoint's scores at packaging in each bin (1 to 5, the level they round to).",
            labels=("checkpoint", "dimension", "bin"),
        )
        judge = self._judges.current
        if judge is not None and judge.reference is not None:
            for name, shares in judge.reference.shares.items():
                for number, share in enumerate(shares, start=1):
                    family.add_metric((judge.label, name, str(number)), share)
        yield family
