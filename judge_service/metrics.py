"""What operators see of the judge's work: scores, reviews, flags, prompt sizes.

Labels are bounded; no text anywhere.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.contracts.evaluate import Evaluation

_SCORE_BUCKETS = (1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0)
_TOKEN_BUCKETS = (384, 512, 640, 768, 1024, 1536, 2048, 4096, 8192, 16384)


class JudgeMetrics:
    """The judge's instruments on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.score = Histogram(
            "theraloop_judge_score",
            "Calibrated scores by dimension (levels, 1 to 5).",
            ("dimension", "checkpoint"),
            buckets=_SCORE_BUCKETS,
            registry=registry,
        )
        self.evaluations = Counter(
            "theraloop_judge_evaluations_total",
            "Replies judged, by checkpoint and whether the cache answered.",
            ("checkpoint", "cached"),
            registry=registry,
        )
        self.flags = Counter(
            "theraloop_judge_flags_total", "Dimensions below their threshold.", ("flag",), registry=registry
        )
        self.reviews = Counter(
            "theraloop_judge_human_reviews_total", "Judgments that call for a human's look.", registry=registry
        )
        self.truncated = Counter(
            "theraloop_judge_truncated_total", "Judgments in which old turns were left out.", registry=registry
        )
        self.prompt_tokens = Histogram(
            "theraloop_judge_prompt_tokens",
            "Length of scoring prompts sent to the engine (tokens).",
            buckets=_TOKEN_BUCKETS,
            registry=registry,
        )

    def observe(self, evaluation: Evaluation) -> None:
        """Count one judgment."""
        self.evaluations.labels(evaluation.checkpoint, str(evaluation.cached).lower()).inc()
        for name, score in evaluation.scores.items():
            self.score.labels(name, evaluation.checkpoint).observe(score.score)
        for flag in evaluation.flags:
            self.flags.labels(flag).inc()
        if evaluation.needs_human_review:
            self.reviews.inc()
        if evaluation.truncated:
            self.truncated.inc()
