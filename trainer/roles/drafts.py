"""Held-out drafts for the agent's evaluation: replies that nothing was trained on, chosen by a rule and a seed.

They leave the trainer as JSON lines, so that the agent needs to know nothing of splits and Parquet.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from services.contracts.dimensions import DIMENSIONS
from services.contracts.drafts import Band, Draft
from trainer.data.schema import read_ratings, turns_from_json
from trainer.data.split_record import Split
from trainer.errors import DataError

MAX_CHARS: Final = 4500
"""Longer replies (loops, mostly) are no drafts: with their question they would not fit the small judge's window."""
LOW_AT: Final = 3.0
MID_AT: Final = 3.7
"""A draft is low at or below the first, mid at or below the second, else good: mean of the raters' seven scores."""


def write_drafts(
    ratings: Path, split: Path, parts: Sequence[str], rater: str, wanted: dict[Band, int], seed: int, out: Path
) -> dict[Band, int]:
    """Write up to `wanted` drafts of each band and return how many were found.

    Replies of a band are taken question by question in turn, so that no question has more than its share; the seed
    orders questions and replies. Two systems' equal replies to one question are one draft.
    """
    if "train" in parts:
        raise DataError("drafts of the part `train` are no evidence: the roles have seen them")
    table, record = read_ratings(ratings), Split.load(split)
    bands: dict[Band, dict[str, list[Draft]]] = {band: defaultdict(list) for band in Band}
    seen: set[str] = set()
    for part in parts:
        for cells in record.select(table, part).to_pylist():
            if cells["rater"] != rater or cells["response"] is None or cells["item_id"] in seen:
                continue
            seen.add(cells["item_id"])
            if len(cells["response"]) > MAX_CHARS:
                continue
            draft = _draft(cells)
            bands[draft.band][draft.question].append(draft)
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    chosen = {band: _in_turn(bands[band], wanted.get(band, 0), rng) for band in Band}
    lines = [draft.model_dump_json() + "\n" for band in Band for draft in chosen[band]]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(lines), encoding="utf-8")
    return {band: len(drafts) for band, drafts in chosen.items()}


def _draft(cells: Mapping[str, Any]) -> Draft:
    rated = fmean(cells[name.value] for name in DIMENSIONS)
    return Draft(
        id=cells["item_id"],
        question=cells["split_group"],
        context=turns_from_json(cells["context"]),
        response=cells["response"],
        rated=rated,
        band=Band.LOW if rated <= LOW_AT else Band.MID if rated <= MID_AT else Band.GOOD,
    )


def _in_turn(by_question: dict[str, list[Draft]], wanted: int, rng: random.Random) -> list[Draft]:
    queues = [sorted(by_question[name], key=lambda draft: draft.id) for name in sorted(by_question)]
    for queue in queues:
        rng.shuffle(queue)
    rng.shuffle(queues)
    chosen: list[Draft] = []
    while len(chosen) < wanted and any(queues):
        for queue in queues:
            if queue and len(chosen) < wanted:
                chosen.append(queue.pop())
    return chosen
