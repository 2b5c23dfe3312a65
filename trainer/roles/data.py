"""All examples of all roles, from files to files: what `python -m trainer role-data` does."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from services.roles.prompts import Role
from trainer.roles.build import RoleDataBuilder
from trainer.roles.composed import composed_replies
from trainer.roles.config import RoleRun, RolesConfig
from trainer.roles.examples import RoleExample, write_examples
from trainer.roles.replies import (
    counselchat_replies,
    held_out_contexts,
    rated_replies,
    read_rationales,
)

REPORT = "report.json"


def build_examples(config: RolesConfig, mentalchat: Path, counselchat: Path | None, out: Path) -> dict[Role, int]:
    """Write each role's examples and a report of what was left out to `out`; return how many there are.

    Args:
        config: the configuration.
        mentalchat: MentalChat's judgments, for the rationales.
        counselchat: CounselChat's answers; None: without them.
        out: the folder of the examples.
    """
    data = config.data
    builder = RoleDataBuilder(data, config.seed)
    rationales = read_rationales(mentalchat, data.mentalchat.rater)
    made = list(builder.rated("mentalchat", rated_replies(data.mentalchat, rationales)))
    made += builder.rated("written", composed_replies(data.written, config.seed))
    if counselchat is not None:
        held_out = held_out_contexts(data.mentalchat)
        made += builder.voted("counselchat", counselchat_replies(counselchat, held_out))
    out.mkdir(parents=True, exist_ok=True)
    counts = {}
    report: dict[str, object] = {"dropped": builder.dropped.table()}
    for role, run in config.roles.items():
        chosen = _chosen([item for item in made if item.role is role], run, config.seed)
        write_examples(chosen, examples_file(out, role))
        counts[role] = len(chosen)
        available = Counter(item.source for item in made if item.role is role)
        used = Counter(item.source for item in chosen)
        report[role.value] = {"available": dict(available), "used": dict(used)}
    (out / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return counts


def examples_file(folder: Path, role: Role) -> Path:
    """Return where a role's examples are."""
    return folder / f"{role}.jsonl"


def _chosen(examples: Sequence[RoleExample], run: RoleRun, seed: int) -> list[RoleExample]:
    """Return up to the run's share of each source, drawn by the seed."""
    by_source: dict[str, list[RoleExample]] = defaultdict(list)
    for item in examples:
        by_source[item.source].append(item)
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    chosen = []
    for source in sorted(by_source):
        share = min(run.shares.get(source, 0), len(by_source[source]))
        chosen += rng.sample(by_source[source], share)
    return chosen
