"""What operators see of refinements. Labels are bounded; no text anywhere."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from agent_service.budget import Stage
from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import Evaluation
from services.contracts.refine import Outcome, Refinement

# A judgment on GPU takes tens of milliseconds, a Therapist on CPU half a minute.
_STAGE_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
_UPLIFT_BUCKETS: Final = (-1.0, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


class RefineMetrics:
    """The agent's instruments on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "theraloop_refine_outcomes_total",
            "Refinements by outcome and whether the cache answered.",
            ("outcome", "cached"),
            registry=registry,
        )
        self.reasons = Counter(
            "theraloop_refine_reasons_total",
            "Why a refinement is a fallback or unchanged.",
            ("outcome", "reason"),
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "theraloop_refine_stage_seconds",
            "Time of one stage, cut-off ones included.",
            ("stage",),
            buckets=_STAGE_BUCKETS_S,
            registry=registry,
        )
        self.uplift = Histogram(
            "theraloop_refine_uplift",
            "Score after minus before of refined replies, by dimension and overall (levels).",
            ("dimension",),
            buckets=_UPLIFT_BUCKETS,
            registry=registry,
        )
        # A histogram with negative buckets has no sum, and the mean is what operators ask for first.
        self.score_before = Counter(
            "theraloop_refine_score_before_total",
            "Scores of drafts that were replaced, added up, by dimension and overall (levels).",
            ("dimension",),
            registry=registry,
        )
        self.score_after = Counter(
            "theraloop_refine_score_after_total",
            "Scores of the replies that replaced them, added up, by dimension and overall (levels).",
            ("dimension",),
            registry=registry,
        )
        self.crisis = Counter(
            "theraloop_refine_crisis_total",
            "Requests in which danger was found, by category.",
            ("category",),
            registry=registry,
        )
        self.gate_refusals = Counter(
            "theraloop_refine_gate_refusals_total",
            "Candidates not taken, by reason.",
            ("reason",),
            registry=registry,
        )
        self.role_notes = Counter(
            "theraloop_refine_role_notes_total",
            "What went wrong in a role and was survived.",
            ("note",),
            registry=registry,
        )
        self.rounds = Histogram(
            "theraloop_refine_rounds", "Rounds of one refinement.", buckets=(0, 1, 2, 3, 4, 5), registry=registry
        )

    def observe_stage(self, stage: Stage, seconds: float) -> None:
        """Count the time of one stage."""
        self.stage_seconds.labels(stage).observe(seconds)

    def observe_refusals(self, reasons: Iterable[str]) -> None:
        """Count candidates that were not taken."""
        for reason in reasons:
            self.gate_refusals.labels(reason).inc()

    def observe_notes(self, notes: Iterable[str]) -> None:
        """Count what roles got wrong; a note's detail after the colon is no label."""
        for note in notes:
            self.role_notes.labels(note.split(":", 1)[0]).inc()

    def observe(self, refinement: Refinement, rounds: int) -> None:
        """Count one answered refinement."""
        self.outcomes.labels(refinement.outcome, str(refinement.cached).lower()).inc()
        if refinement.reason is not None:
            self.reasons.labels(refinement.outcome, refinement.reason).inc()
        for category in refinement.crisis.categories:
            self.crisis.labels(category).inc()
        if refinement.cached:
            return
        self.rounds.observe(rounds)
        if refinement.outcome is Outcome.REFINED and refinement.before and refinement.after:
            self._observe_uplift(refinement.before, refinement.after)

    def _observe_uplift(self, before: Evaluation, after: Evaluation) -> None:
        for name in DIMENSIONS:
            self._observe_gain(name, before.scores[name].score, after.scores[name].score)
        self._observe_gain("overall", before.overall, after.overall)

    def _observe_gain(self, dimension: str, before: float, after: float) -> None:
        self.uplift.labels(dimension).observe(after - before)
        self.score_before.labels(dimension).inc(before)
        self.score_after.labels(dimension).inc(after)
