"""Replies to learn from, in one shape: MentalChat with its raters' rationales, CounselChat.

Of MentalChat only the `train` part of a recorded split is read, so nothing of a held-out question can come in.
Rationales are not in the trainer's Parquet schema; they are read from its own file and joined by the item's digest.
"""

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import IO

from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS, Dimension
from trainer.data.identity import digest, normalised_context
from trainer.data.schema import read_ratings, turns_from_json
from trainer.data.sources.mentalchat import mentalchat
from trainer.data.split_record import Split
from trainer.errors import DataError
from trainer.roles.config import RatedSource


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply to one question.

    Attributes:
        question: names the question across sources.
        turns: what the person said.
        text: the reply.
        scores: the rater's, 1 to 5; empty where nobody rated.
        rationale: why, in the rater's words; empty where there is none.
        votes: CounselChat's upvotes; 0 elsewhere.
    """

    question: str
    turns: tuple[Turn, ...]
    text: str
    scores: Mapping[Dimension, float]
    rationale: str = ""
    votes: int = 0

    @property
    def overall(self) -> float:
        """Mean of the scores."""
        return fmean(self.scores.values())


def rated_replies(source: RatedSource, rationales: Mapping[str, str]) -> list[Reply]:
    """Return the part's replies that the rater scored on all dimensions; `rationales` by item."""
    table = Split.load(source.split).select(read_ratings(source.ratings), source.part)
    replies = []
    for cells in table.to_pylist():
        scores = {name: cells[name.value] for name in DIMENSIONS if cells[name.value] is not None}
        if cells["rater"] != source.rater or cells["response"] is None or len(scores) < len(DIMENSIONS):
            continue
        turns, why = turns_from_json(cells["context"]), rationales.get(cells["item_id"], "")
        replies.append(Reply(cells["split_group"], turns, cells["response"], scores, why))
    if not replies:
        raise DataError(f"{source.ratings}: part {source.part!r} holds no reply rated by {source.rater!r}")
    return replies


def read_rationales(path: Path, rater: str) -> dict[str, str]:
    """Return one rater's written rationales in a MentalChat file, by item."""
    convert = mentalchat(path).convert
    found = {}
    with _opened(path) as file:
        for line in file:
            raw = json.loads(line)
            if raw["judge"] == rater and raw.get("rationale"):
                found[convert(raw, path)[0].item_id] = str(raw["rationale"])
    return found


def counselchat_replies(path: Path, held_out: frozenset[str]) -> list[Reply]:
    """Return CounselChat's answers with their upvotes; questions whose normal form is in `held_out` are left out."""
    replies = []
    with _opened(path) as file:
        for row in csv.DictReader(file):
            turns = (Turn(role="user", content=row["question"]),) if row["question"].strip() else ()
            if not turns or not row["answer"].strip() or normalised_context(turns) in held_out:
                continue
            question = f"counselchat:{digest(normalised_context(turns))}"
            replies.append(Reply(question, turns, row["answer"], {}, votes=int(float(row["upvotes"] or 0))))
    return replies


def held_out_contexts(source: RatedSource) -> frozenset[str]:
    """Return the normal forms of all contexts that are in another part than the source's."""
    table, split = read_ratings(source.ratings), Split.load(source.split)
    others = [split.select(table, name) for name in split.parts if name != source.part]
    return frozenset(
        normalised_context(turns_from_json(cell)) for part in others for cell in part["context"].to_pylist()
    )


def by_question(replies: list[Reply]) -> Iterator[list[Reply]]:
    """Yield the replies question by question, in the order of the questions' names."""
    groups: dict[str, list[Reply]] = {}
    for reply in replies:
        groups.setdefault(reply.question, []).append(reply)
    yield from (groups[name] for name in sorted(groups))


def _opened(path: Path) -> IO[str]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return gzip.open(path, "rt", encoding="utf-8", newline="") if path.suffix == ".gz" else path.open(encoding="utf-8")
