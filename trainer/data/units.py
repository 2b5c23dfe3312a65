"""Which rows may never be split apart: those of one question, and those of questions that are the same text.

A unit is a connected component of rows over `split_group` and the context's normal form. Splits deal out whole units.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trainer.data.identity import normalised, normalised_context
from trainer.data.schema import turns_from_json


@dataclass(frozen=True)
class Row:
    """What a split needs to know of one row of the ratings table."""

    item_id: str
    group: str
    system: str
    context: str  # normalised
    response: str | None  # normalised
    kind: str | None
    pair_id: str | None


@dataclass(frozen=True)
class Unit:
    """Rows that stay together, named by their least group."""

    name: str
    rows: tuple[Row, ...]

    @property
    def groups(self) -> frozenset[str]:
        """The split groups that the unit holds."""
        return frozenset(row.group for row in self.rows)


def rows_of(table: pa.Table) -> list[Row]:
    """Return the table's rows as splits see them."""
    names = ("item_id", "split_group", "system", "context", "response", "kind", "pair_id")
    contexts = {cell: normalised_context(turns_from_json(cell)) for cell in set(table["context"].to_pylist())}
    cells = zip(*(table[name].to_pylist() for name in names), strict=True)
    return [
        Row(item, group, system, contexts[context], None if response is None else normalised(response), kind, pair)
        for item, group, system, context, response, kind, pair in cells
    ]


def units_of(rows: Sequence[Row]) -> list[Unit]:
    """Return the rows as units, sorted by name."""
    groups, contexts = _codes(row.group for row in rows), _codes(row.context for row in rows)
    size = int(groups.max(initial=-1) + 1 + contexts.max(initial=-1) + 1)
    edges = coo_array((np.ones(len(rows)), (groups, contexts + groups.max(initial=-1) + 1)), shape=(size, size))
    labels = cast("np.ndarray", connected_components(edges, directed=False)[1])[groups]
    members: dict[int, list[Row]] = defaultdict(list)
    for label, row in zip(labels, rows, strict=True):
        members[int(label)].append(row)
    units = (Unit(min(row.group for row in part), tuple(part)) for part in members.values())
    return sorted(units, key=lambda unit: unit.name)


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Return the names in the order of their digests under `seed`: the same everywhere, whatever else is in the set."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())


def _codes(values: Iterable[Hashable]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(value, len(codes)) for value in values], dtype=np.int64)
