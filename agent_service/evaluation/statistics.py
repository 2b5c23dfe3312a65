"""From records to tables: gains, shares, and their intervals by resampling whole questions.

Replies to one question are alike, so questions, not drafts, are drawn with replacement (a cluster bootstrap); every
figure is a ratio of sums over questions, and intervals are percentiles. Comparisons between variants are paired: only
drafts that both have, difference by difference.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Final

from agent_service.evaluation.records import Record
from agent_service.evaluation.variants import Variant
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.contracts.drafts import Band
from services.contracts.refine import Outcome

LOW_AT: Final = 3.0
WORSE_BY: Final = 0.25
RESAMPLES: Final = 2000
_SEED: Final = 30887
_LEVEL: Final = (0.025, 0.975)


class Group(StrEnum):
    """Which drafts a row is about."""

    ALL = "all"
    LOW_BY_RATERS = "low_by_raters"
    LOW_BY_VERDICT = "low_by_verdict"
    MID_BY_RATERS = "mid_by_raters"
    GOOD_BY_RATERS = "good_by_raters"


IN_GROUP: Final[Mapping[Group, Callable[[Record], bool]]] = {
    Group.ALL: lambda record: True,
    Group.LOW_BY_RATERS: lambda record: record.band is Band.LOW,
    Group.LOW_BY_VERDICT: lambda record: record.before.overall <= LOW_AT,
    Group.MID_BY_RATERS: lambda record: record.band is Band.MID,
    Group.GOOD_BY_RATERS: lambda record: record.band is Band.GOOD,
}


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95% interval; `n` drafts of `questions` questions. All None where there is nothing."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    questions: int


@dataclass(frozen=True, slots=True)
class Row:
    """One variant on one group of drafts."""

    variant: Variant
    group: Group
    before: Mapping[Dimension, float]
    after: Mapping[Dimension, float]
    gain: Interval
    recovery: Interval
    untouched: Interval
    fallbacks: Interval
    worse: Interval
    less_safe: Interval
    gain_without_fallbacks: Interval
    steered_gain: Interval


@dataclass(frozen=True, slots=True)
class Cost:
    """What one refinement of a variant costs: means, by stage or role."""

    variant: Variant
    seconds: float
    seconds_by_stage: Mapping[str, float]
    tokens_by_role: Mapping[str, float]


def row(records: Sequence[Record], variant: Variant, group: Group) -> Row | None:
    """Return the row, None where no draft of the variant is in the group."""
    chosen = [record for record in records if record.variant is variant and IN_GROUP[group](record)]
    if not chosen:
        return None
    low = [record for record in chosen if record.before.overall <= LOW_AT]
    sent = [record for record in chosen if record.outcome is not Outcome.FALLBACK]
    return Row(
        variant=variant,
        group=group,
        before={name: fmean(record.before.dimensions[name] for record in chosen) for name in DIMENSIONS},
        after={name: fmean(record.after.dimensions[name] for record in chosen) for name in DIMENSIONS},
        gain=mean_of(chosen, lambda record: record.gain),
        recovery=mean_of(low, lambda record: record.after.overall > LOW_AT),
        untouched=mean_of(chosen, lambda record: record.response == record.draft),
        fallbacks=mean_of(chosen, lambda record: record.outcome is Outcome.FALLBACK),
        worse=mean_of(chosen, lambda record: record.gain < -WORSE_BY),
        less_safe=mean_of(chosen, _is_less_safe),
        gain_without_fallbacks=mean_of(sent, lambda record: record.gain),
        steered_gain=mean_of([record for record in sent if record.steered_after is not None], _steered_gain),
    )


def ahead(records: Sequence[Record], variant: Variant, group: Group) -> Interval:
    """Return by how much the full loop's replies are ahead of a variant's on the same drafts, overall."""
    others = {record.draft_id: record for record in records if record.variant is variant}
    pairs = [
        (record, others[record.draft_id])
        for record in records
        if record.variant is Variant.FULL and record.draft_id in others and IN_GROUP[group](record)
    ]
    return interval((one.question, one.after.overall - other.after.overall) for one, other in pairs)


def cost(records: Sequence[Record], variant: Variant) -> Cost | None:
    """Return what a refinement of the variant costs, over drafts that were not passed at once."""
    worked = [record for record in records if record.variant is variant and record.rounds]
    if not worked:
        return None
    stages = sorted({stage for record in worked for stage in record.stage_ms})
    roles = sorted({role for record in worked for role in record.tokens})
    return Cost(
        variant,
        fmean(record.seconds for record in worked),
        {stage: fmean(record.stage_ms.get(stage, 0.0) for record in worked) / 1000 for stage in stages},
        {role: fmean(record.tokens.get(role, 0) for record in worked) for role in roles},
    )


def mean_of(records: Iterable[Record], value: Callable[[Record], float]) -> Interval:
    """Return the mean of a value over records, with its interval."""
    return interval((record.question, float(value(record))) for record in records)


def interval(values: Iterable[tuple[str, float]]) -> Interval:
    """Return the mean of values that come with their questions, and its cluster bootstrap interval."""
    by_question: dict[str, list[float]] = defaultdict(list)
    for question, value in values:
        by_question[question].append(value)
    sums = [(sum(found), len(found)) for _, found in sorted(by_question.items())]
    n = sum(count for _, count in sums)
    if not n:
        return Interval(None, None, None, 0, 0)
    rng = random.Random(_SEED)  # noqa: S311 - a reproducible resampling, no secret
    means = sorted(_mean(rng.choices(sums, k=len(sums))) for _ in range(RESAMPLES))
    low, high = (means[min(RESAMPLES - 1, int(share * RESAMPLES))] for share in _LEVEL)
    return Interval(_mean(sums), low, high, n, len(sums))


def _mean(sums: Sequence[tuple[float, int]]) -> float:
    return sum(total for total, _ in sums) / sum(count for _, count in sums)


def _is_less_safe(record: Record) -> bool:
    safety = Dimension.SAFETY
    return record.after.dimensions[safety] < record.before.dimensions[safety] - WORSE_BY


def _steered_gain(record: Record) -> float:
    if record.steered_before is None or record.steered_after is None:
        raise ValueError("only drafts that the steering judge scored twice have a steered gain")
    return record.steered_after - record.steered_before
