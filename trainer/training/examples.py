"""From imported ratings to what the model learns: a prompt's tokens and seven target scores.

Only the trainer's split decides which rows come in. Off-topic examples are generated here: a well-rated reply put under
another question of the same part, with labels that say so.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.rubric.errors import ReplyTooLong
from services.rubric.prompt import ScoringPromptRenderer
from trainer.data.identity import file_sha256, normalised_context
from trainer.data.schema import read_ratings, turns_from_json
from trainer.data.split_record import Split
from trainer.errors import DataError, TrainingConfigError
from trainer.training.config import SourceConfig
from trainer.training.token_tree import TokenPath

LOW_AT: Final = 3.2
"""A reply whose helpfulness or safety is at most this counts as low: few are, and they matter most."""

OFF_TOPIC_LEVELS: Final[Mapping[Dimension, float]] = {
    Dimension.GUIDANCE: 1.75,
    Dimension.INFORMATIVENESS: 1.75,
    Dimension.RELEVANCE: 1.0,
    Dimension.SAFETY: 3.5,
    Dimension.EMPATHY: 2.0,
    Dimension.HELPFULNESS: 1.0,
    Dimension.UNDERSTANDING: 1.25,
}
"""What a good reply is worth to a person who asked something else."""

_WELL_RATED: Final = 3.5


@dataclass(frozen=True, slots=True)
class Row:
    """One rated reply; a target is None where the rater gave none."""

    item_id: str
    turns: tuple[Turn, ...]
    response: str
    targets: tuple[float | None, ...]
    pair_id: str | None = None
    pair_role: str | None = None
    pair_dimension: str | None = None

    @property
    def is_low(self) -> bool:
        """Whether helpfulness or safety is rated low."""
        scores = [self.targets[DIMENSIONS.index(d)] for d in (Dimension.HELPFULNESS, Dimension.SAFETY)]
        return any(score is not None and score <= LOW_AT for score in scores)


@dataclass(frozen=True, slots=True)
class Example:
    """A row as tokens.

    Attributes:
        path: the prompt, without the verdict.
        targets: seven scores from 1 to 5, or None.
        pair: what joins the two replies of an authored pair within a run.
        pair_role: `better` or `worse`.
        pair_dimension: index of the dimension that the pair is about.
    """

    path: TokenPath
    targets: tuple[float | None, ...]
    pair: str | None = None
    pair_role: str | None = None
    pair_dimension: int | None = None


def read_rows(source: SourceConfig) -> list[Row]:
    """Return the rows of a source's part that its rater rated and whose text is known."""
    table = Split.load(source.split).select(read_ratings(source.ratings), source.part)
    rows = [
        Row(
            item_id=cells["item_id"],
            turns=turns_from_json(cells["context"]),
            response=cells["response"],
            targets=tuple(cells[str(dimension)] for dimension in DIMENSIONS),
            pair_id=cells["pair_id"],
            pair_role=cells["pair_role"],
            pair_dimension=cells["pair_dimension"],
        )
        for cells in table.to_pylist()
        if cells["rater"] == source.rater and cells["response"] is not None
    ]
    if not rows:
        raise DataError(f"{source.ratings}: part {source.part!r} holds no reply rated by {source.rater!r}")
    return rows


def input_digests(sources: Sequence[SourceConfig], adapter: Path | None) -> dict[str, str]:
    """Return the SHA-256 of each file that a run learns from, by name; TrainingConfigError if two have one name."""
    files = sorted({path for source in sources for path in (source.ratings, source.split)})
    files += [adapter / "adapter_model.safetensors"] if adapter else []
    digests = {path.name: file_sha256(path) for path in files}
    if len(digests) < len(files):
        raise TrainingConfigError("two of the sources' files have the same name; rename one")
    return digests


def scheduled_rows(rows: Sequence[Row], source: SourceConfig, rng: random.Random) -> list[Row]:
    """Return the rows as often as the source asks, pairs always whole, and its off-topic examples."""
    units: dict[str, list[Row]] = defaultdict(list)
    for index, row in enumerate(rows):
        units[row.pair_id or f"row {index}"].append(row)
    chosen: list[Row] = []
    for turn, unit in enumerate(rng.sample(list(units.values()), len(units))):
        low = source.low_passes is not None and any(row.is_low for row in unit)
        passes = source.low_passes if low and source.low_passes is not None else source.passes
        times = int(passes) + (rng.random() < passes % 1)
        # Every pass is its own pair, so that a batch never mixes two passes of one.
        chosen += [_in_pass(row, f"{turn}.{time}") for time in range(times) for row in unit]
    return chosen + _off_topic(rows, source.off_topic, rng)


def _in_pass(row: Row, name: str) -> Row:
    if row.pair_id is None:
        return row
    pair = f"{row.pair_id}.{name}"
    return Row(row.item_id, row.turns, row.response, row.targets, pair, row.pair_role, row.pair_dimension)


def _off_topic(rows: Sequence[Row], count: int, rng: random.Random) -> list[Row]:
    good = [row for row in rows if min((t for t in row.targets if t is not None), default=0.0) >= _WELL_RATED]
    # The same words with other punctuation are the same question: a good reply to one is on topic under the other.
    question_of = {row.turns: normalised_context(row.turns) for row in rows}
    contexts = sorted(question_of, key=repr)
    if count and (not good or len(set(question_of.values())) < 2):
        raise DataError("off-topic examples need two questions and a well-rated reply; set off_topic to 0")
    levels = tuple(OFF_TOPIC_LEVELS[dimension] for dimension in DIMENSIONS)
    made = []
    for _ in range(count):
        reply = rng.choice(good)
        other = rng.choice([turns for turns in contexts if question_of[turns] != question_of[reply.turns]])
        made.append(Row(f"off-topic:{reply.item_id}", other, reply.response, levels))
    return made


def to_example(row: Row, renderer: ScoringPromptRenderer) -> Example:
    """Return the row as tokens; DataError if its reply is longer than the window."""
    path = prompt_path(row.item_id, row.turns, row.response, renderer)
    index = DIMENSIONS.index(Dimension(row.pair_dimension)) if row.pair_dimension else None
    return Example(path, row.targets, row.pair_id, row.pair_role, index)


def prompt_path(item_id: str, turns: Sequence[Turn], response: str, renderer: ScoringPromptRenderer) -> TokenPath:
    """Return the prompt of one reply; DataError, which names the item, if the reply is longer than the window."""
    try:
        prompt = renderer.render(turns, response)
    except ReplyTooLong as error:
        raise DataError(
            f"item {item_id}: {error} into the window; leave the reply out of the ratings, or raise window_tokens, "
            "which the judge that serves must then have too"
        ) from error
    return TokenPath(prompt.prefix_ids, prompt.suffix_ids)
