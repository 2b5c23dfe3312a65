"""Deals whole questions into parts, takes out what would leak, checks, and returns the record.

Order matters in one place: where the same response occurs in two parts, the row of the earlier part (trained on before
held out) is left out and the held-out one is kept, so that no test is made easier or smaller.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from trainer.data.identity import file_digests
from trainer.data.leakage import check_no_leak, shared_responses
from trainer.data.schema import read_ratings
from trainer.data.split_config import AuthoredSplit, QuestionSplit
from trainer.data.split_record import Exclusion, Part, Split
from trainer.data.units import Row, Unit, rows_of, shuffled, units_of
from trainer.errors import SplitError

_SHARED_RESPONSE = "the same response occurs in a held-out part"
_MIXED_KIND = "its context is shared with a held-out kind"


def make_split(name: str, config: QuestionSplit | AuthoredSplit, files: Sequence[Path]) -> Split:
    """Return the split of the ratings in `files` as configured; SplitError if it cannot be made."""
    rows = rows_of(pa.concat_tables([read_ratings(path) for path in files]))
    units = units_of(rows)
    systems: Mapping[str, tuple[str, ...]] = {}
    kinds: tuple[str, ...] = ()
    excluded: list[Exclusion] = []
    if isinstance(config, QuestionSplit):
        dealt = _by_question(units, config)
        systems = _system_parts(rows, config)
    else:
        kinds = _kinds_held_out(rows, config)
        dealt = _authored(units, config, kinds)
        excluded = [
            _exclusion("held_out_kinds", row, _MIXED_KIND)
            for row in _rows(dealt["held_out_kinds"])
            if not _of_kinds(row, kinds)
        ]
    parts = {part: _kept(_rows(dealt[part]), systems.get(part), part, excluded) for part in dealt}
    excluded += _leaking(parts)
    parts = {part: _kept(members, None, part, excluded) for part, members in parts.items()}
    check_no_leak(parts)
    return Split(
        name=name,
        config=config.model_dump(),
        inputs=file_digests(files),
        held_out_kinds=kinds,
        parts={part: _part(dealt[part], systems.get(part), parts[part]) for part in dealt},
        excluded=tuple(excluded),
    )


def _by_question(units: Sequence[Unit], config: QuestionSplit) -> dict[str, list[Unit]]:
    held_out = config.test + config.calibration
    if len(units) <= held_out:
        raise SplitError(f"{len(units)} questions, but {held_out} are to be held out: lower test or calibration")
    by_name = {unit.name: unit for unit in units}
    order = [by_name[name] for name in shuffled(by_name, config.seed)]
    return {
        "train": order[held_out:],
        "calibration": order[config.test : held_out],
        "test": order[: config.test],
    }


def _system_parts(rows: Sequence[Row], config: QuestionSplit) -> dict[str, tuple[str, ...]]:
    if not config.held_out_systems:
        return {}
    order = shuffled({row.system for row in rows}, config.seed)
    if len(order) <= config.held_out_systems:
        raise SplitError(f"{len(order)} systems, {config.held_out_systems} to be held out: lower held_out_systems")
    test, seen = tuple(sorted(order[: config.held_out_systems])), tuple(sorted(order[config.held_out_systems :]))
    return {"train": seen, "calibration": seen, "test": test}


def _kinds_held_out(rows: Sequence[Row], config: AuthoredSplit) -> tuple[str, ...]:
    order = shuffled({row.kind for row in rows if row.pair_id and row.kind}, config.seed)
    if len(order) <= config.held_out_kinds:
        raise SplitError(f"{len(order)} kinds of pairs, {config.held_out_kinds} to be held out: lower held_out_kinds")
    return tuple(sorted(order[: config.held_out_kinds]))


def _authored(units: Sequence[Unit], config: AuthoredSplit, kinds: tuple[str, ...]) -> dict[str, list[Unit]]:
    dealt: dict[str, list[Unit]] = {"train": [], "held_out_items": [], "held_out_kinds": []}
    strata: dict[tuple[bool, str], dict[str, Unit]] = defaultdict(dict)
    for unit in units:
        if any(_of_kinds(row, kinds) for row in unit.rows):
            dealt["held_out_kinds"].append(unit)
        else:
            # A context that serves two kinds counts with the first: a stress kind before a hard one.
            stratum = min((row.pair_id is None, row.kind or "") for row in unit.rows)
            strata[stratum][unit.name] = unit
    for (is_hard, _), members in sorted(strata.items()):
        share = config.hard_held_out if is_hard else config.stress_held_out
        order = shuffled(members, config.seed)
        count = round(share * len(order))
        dealt["held_out_items"] += [members[name] for name in order[:count]]
        dealt["train"] += [members[name] for name in order[count:]]
    return dealt


def _of_kinds(row: Row, kinds: tuple[str, ...]) -> bool:
    return row.pair_id is not None and row.kind in kinds


def _leaking(parts: Mapping[str, Sequence[Row]]) -> list[Exclusion]:
    """Return what earlier parts must give up: rows whose response a later part has, with their whole pairs."""
    found: list[Exclusion] = []
    names = list(parts)
    for index, name in enumerate(names):
        later = [row for other in names[index + 1 :] for row in parts[other]]
        shared = shared_responses(parts[name], later)
        pairs = {row.pair_id for row in parts[name] if row.response in shared and row.pair_id}
        leaking = (row for row in parts[name] if row.response in shared or row.pair_id in pairs)
        found += dict.fromkeys(_exclusion(name, row, _SHARED_RESPONSE) for row in leaking)
    return found


def _exclusion(part: str, row: Row, reason: str) -> Exclusion:
    return Exclusion(part=part, item_id=row.item_id, pair_id=row.pair_id, reason=reason)


def _rows(units: Sequence[Unit]) -> list[Row]:
    return [row for unit in units for row in unit.rows]


def _kept(rows: Sequence[Row], systems: tuple[str, ...] | None, part: str, excluded: Sequence[Exclusion]) -> list[Row]:
    out = {(exclusion.item_id, exclusion.pair_id) for exclusion in excluded if exclusion.part == part}
    kept = (row for row in rows if systems is None or row.system in systems)
    return [row for row in kept if (row.item_id, row.pair_id) not in out]


def _part(units: Sequence[Unit], systems: tuple[str, ...] | None, rows: Sequence[Row]) -> Part:
    groups = sorted(group for unit in units for group in unit.groups)
    return Part(groups=tuple(groups), systems=systems, rows=len(rows), items=len({row.item_id for row in rows}))
