"""The data card: what a ratings table holds, in figures. `trainer.data.card_page` shows it; nothing here draws."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from services.contracts.dimensions import DIMENSIONS, LEVELS
from trainer.agreement.absolute import Floats, icc_a1, icc_c1, levels
from trainer.agreement.pairing import pair
from trainer.data.schema import turns_from_json
from trainer.data.split_record import Split

_QUANTILES = (0, 5, 25, 50, 75, 95, 100)
_MIN_COMMON = 3


@dataclass(frozen=True)
class Counts:
    """How much there is."""

    ratings: int
    replies: int
    questions: int
    systems: int
    raters: int
    authored: int


@dataclass(frozen=True)
class ScoreSummary:
    """One rater's scores on one dimension: how many replies were rated, and how many scores round to each level."""

    n: int
    mean: float
    sd: float
    by_level: tuple[int, int, int, int, int]


@dataclass(frozen=True)
class RaterAgreement:
    """Two raters on one dimension, over the replies that both rated; intervals are the `agreement` command's."""

    one: str
    other: str
    dimension: str
    n: int
    icc_c1: float | None
    icc_a1: float | None


@dataclass(frozen=True)
class DataCard:
    """A ratings table in figures."""

    counts: Counts
    ratings_by_source: Mapping[str, int]
    ratings_by_rater: Mapping[str, int]
    ratings_by_kind: Mapping[str, int]
    parts: Mapping[str, Counts]
    scores: Mapping[str, Mapping[str, ScoreSummary]]  # by rater, then dimension
    agreement: tuple[RaterAgreement, ...]
    response_words: Mapping[str, float]  # quantiles over distinct replies; empty where the texts are not released
    context_words: Mapping[str, float]
    context_turns: Mapping[int, int]  # how many distinct contexts have so many turns

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        return _CARD.dump_json(self, indent=2).decode()


_CARD = TypeAdapter(DataCard)


def data_card(table: pa.Table, split: Split | None = None) -> DataCard:
    """Return the card of a ratings table, with the counts of its parts if it was split."""
    contexts = [turns_from_json(cell) for cell in sorted(set(table["context"].to_pylist()))]
    raters = sorted(set(table["rater"].to_pylist()))
    return DataCard(
        counts=_counts(table),
        ratings_by_source=_tally(table, "source"),
        ratings_by_rater=_tally(table, "rater"),
        ratings_by_kind=_tally(table, "kind"),
        parts={name: _counts(split.select(table, name)) for name in split.parts} if split else {},
        scores={rater: _summaries(table.filter(pc.equal(table["rater"], rater))) for rater in raters},
        agreement=_agreement(table, raters),
        response_words=_quantiles(response_lengths(table)),
        context_words=_quantiles([sum(len(turn.content.split()) for turn in turns) for turns in contexts]),
        context_turns=dict(sorted(Counter(len(turns) for turns in contexts).items())),
    )


def response_lengths(table: pa.Table) -> list[int]:
    """Return the number of words of each distinct reply whose text is there."""
    texts = {item: text for item, text in zip(*_columns(table, "item_id", "response"), strict=True) if text is not None}
    return [len(text.split()) for text in texts.values()]


def _columns(table: pa.Table, *names: str) -> list[list[str | None]]:
    return [table[name].to_pylist() for name in names]


def _counts(table: pa.Table) -> Counts:
    def distinct(name: str) -> int:
        return len(set(table[name].to_pylist()))

    return Counts(
        ratings=table.num_rows,
        replies=distinct("item_id"),
        questions=distinct("split_group"),
        systems=distinct("system"),
        raters=distinct("rater"),
        authored=sum(table["authored"].to_pylist()),
    )


def _tally(table: pa.Table, name: str) -> dict[str, int]:
    return dict(sorted(Counter(value for value in table[name].to_pylist() if value is not None).items()))


def _summaries(table: pa.Table) -> dict[str, ScoreSummary]:
    summaries = {}
    for dimension in DIMENSIONS:
        scores: Floats = table[dimension.value].drop_null().to_numpy()
        if scores.size:
            counts = [int((levels(scores) == level).sum()) for level in LEVELS]
            one, two, three, four, five = counts
            summaries[dimension.value] = ScoreSummary(
                scores.size, float(scores.mean()), float(scores.std()), (one, two, three, four, five)
            )
    return summaries


def _agreement(table: pa.Table, raters: list[str]) -> tuple[RaterAgreement, ...]:
    rows: list[RaterAgreement] = []
    items = {rater: set(table.filter(pc.equal(table["rater"], rater))["item_id"].to_pylist()) for rater in raters}
    for one, other in combinations(raters, 2):
        if len(items[one] & items[other]) < _MIN_COMMON:
            continue
        paired = pair(table, one, other)
        for column, dimension in enumerate(DIMENSIONS):
            x, y = paired.reference[:, column], paired.judged[:, column]
            both = ~np.isnan(x) & ~np.isnan(y)
            if both.sum() >= _MIN_COMMON:
                consistency, absolute = (_defined(f(x[both], y[both])) for f in (icc_c1, icc_a1))
                rows.append(RaterAgreement(one, other, dimension.value, int(both.sum()), consistency, absolute))
    return tuple(rows)


def _defined(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)


def _quantiles(lengths: list[int]) -> dict[str, float]:
    if not lengths:
        return {}
    values = np.percentile(lengths, _QUANTILES)
    return {f"p{quantile}": float(value) for quantile, value in zip(_QUANTILES, values, strict=True)}
