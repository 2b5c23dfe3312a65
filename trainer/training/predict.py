"""Scores replies with a base model or an adapter as the judge service does: seven digits at temperature 0.

Writes the scores file that `agreement` reads and calibration is fitted on. It must not calibrate.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from services.contracts.dimensions import DIMENSIONS, LEVELS
from services.rubric.prompt import ScoringPromptRenderer
from trainer.data.schema import read_ratings, turns_from_json
from trainer.data.split_record import Split
from trainer.errors import DataError
from trainer.training.checkpointing import disk_full_explained, memory_explained
from trainer.training.config import ModelConfig
from trainer.training.examples import prompt_path
from trainer.training.model import fuse_layers, judge_model, load_base, load_renderer, most_likely, with_adapter
from trainer.training.progress import ProgressLog
from trainer.training.token_tree import TokenPath

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """One reply to score."""

    item_id: str
    path: TokenPath


def predict(
    model: ModelConfig, adapter: Path | None, ratings: Path, out: Path, *, split: tuple[Path, str] | None, tokens: int
) -> int:
    """Score every reply once and write `out` (Parquet); return how many.

    Args:
        model: the base model.
        adapter: an adapter's folder; None scores with the base alone.
        ratings: imported ratings; only contexts and responses are read.
        out: the scores file: `item_id`, seven scores, and seven `<dimension>_distribution` lists.
        split: a split record and the part to keep; None keeps all.
        tokens: packed tokens at once; what memory depends on.
    """
    renderer = load_renderer(model)
    base = load_base(model)
    causal = base if adapter is None else with_adapter(base, adapter)
    if model.compile:
        fuse_layers(causal)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    judge = judge_model(causal.eval(), renderer.tokenizer.level_ids, device)
    items = _items(ratings, split, renderer)
    out.parent.mkdir(parents=True, exist_ok=True)
    log = ProgressLog(out.with_suffix(".progress.jsonl"), len(items), every_s=20)
    ids: list[str] = []
    distributions: list[torch.Tensor] = []
    for part in _parts(items, tokens):
        with memory_explained("--tokens"):
            distributions.append(judge.decode([item.path for item in part], most_likely).distributions.cpu())
        ids += [item.item_id for item in part]
        log.step(len(ids), replies=len(part))
    partial = out.with_name(out.name + ".partial")
    with disk_full_explained(out):
        # What is there is whole: the recipe passes over a step whose file exists.
        pq.write_table(scores_table(ids, torch.cat(distributions)), partial)
        partial.rename(out)
    return len(ids)


def scores_table(ids: Sequence[str], distributions: torch.Tensor) -> pa.Table:
    """Return scores (expectations) and distributions, (n, 7, 5), by item."""
    exact = distributions.double()
    exact = exact / exact.sum(dim=-1, keepdim=True)
    scores = exact @ torch.tensor(LEVELS, dtype=torch.float64)
    columns: dict[str, object] = {"item_id": list(ids)}
    columns |= {str(dimension): scores[:, place].tolist() for place, dimension in enumerate(DIMENSIONS)}
    columns |= {f"{dimension}_distribution": exact[:, place].tolist() for place, dimension in enumerate(DIMENSIONS)}
    return pa.table(columns)


def _items(ratings: Path, split: tuple[Path, str] | None, renderer: ScoringPromptRenderer) -> list[Item]:
    table = read_ratings(ratings)
    if split is not None:
        table = Split.load(split[0]).select(table, split[1])
    replies = {
        cells["item_id"]: (cells["context"], cells["response"])
        for cells in table.select(["item_id", "context", "response"]).to_pylist()
        if cells["response"] is not None
    }
    if not replies:
        raise DataError(f"{ratings}: no reply's text is in it, so there is nothing to score")
    items = [
        Item(item_id, prompt_path(item_id, turns_from_json(context), response, renderer))
        for item_id, (context, response) in replies.items()
    ]
    return sorted(items, key=lambda item: (item.path.prefix, len(item.path.suffix)))


def _parts(items: Sequence[Item], tokens: int) -> Iterator[list[Item]]:
    """Yield items in runs of about `tokens` packed tokens; neighbours share their contexts."""
    part: list[Item] = []
    used = 0
    for item in items:
        fresh = len(item.path.suffix)
        if not part or item.path.prefix != part[-1].path.prefix:
            fresh += len(item.path.prefix)
        if part and used + fresh > tokens:
            yield part
            part, used = [], 0
            fresh = len(item.path.prefix) + len(item.path.suffix)
        part.append(item)
        used += fresh
    if part:
        yield part
