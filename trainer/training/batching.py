"""The order in which a run sees its examples: made once from the seed, so that a step's number says what it reads.

Replies to one context stay together in small groups (their prefix is computed once), pairs stay whole, and groups from
all sources are shuffled through the whole run.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

from trainer.training.examples import Example


def plan_batches(
    examples: Sequence[Example], *, batch_replies: int, replies_per_context: int, rng: random.Random
) -> list[list[Example]]:
    """Return batches of about `batch_replies` examples; every example is in exactly one."""
    groups = _groups(examples, replies_per_context, rng)
    rng.shuffle(groups)
    batches: list[list[Example]] = []
    batch: list[Example] = []
    for group in groups:
        if batch and len(batch) + len(group) > batch_replies:
            batches.append(batch)
            batch = []
        batch = batch + group
    return [*batches, batch] if batch else batches


def _groups(examples: Sequence[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """Return examples in groups of up to `size` (or one pair) that share a context."""
    units: dict[str, list[Example]] = defaultdict(list)
    for index, example in enumerate(examples):
        units[example.pair or f"example {index}"].append(example)
    by_context: dict[tuple[int, ...], list[list[Example]]] = defaultdict(list)
    for unit in units.values():
        by_context[unit[0].path.prefix].append(unit)
    groups: list[list[Example]] = []
    for members in by_context.values():
        rng.shuffle(members)
        group: list[Example] = []
        for unit in members:
            if group and len(group) + len(unit) > size:
                groups.append(group)
                group = []
            group = group + unit
        groups.append(group)
    return groups


def split_for_memory(batch: Sequence[Example], tokens_per_forward: int) -> list[list[Example]]:
    """Return a batch in parts whose packed length stays near `tokens_per_forward`; pairs and contexts stay whole."""
    groups: dict[tuple[int, ...], list[Example]] = defaultdict(list)
    for example in batch:
        groups[example.path.prefix].append(example)
    parts: list[list[Example]] = []
    part: list[Example] = []
    used = 0
    for prefix, members in groups.items():
        tokens = len(prefix) + sum(len(member.path.suffix) for member in members)
        if part and used + tokens > tokens_per_forward:
            parts.append(part)
            part, used = [], 0
        part = part + members
        used += tokens
    return [*parts, part]
