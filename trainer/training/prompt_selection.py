"""Which prompts a GRPO run trains on: groups of replies to one context, drawn by how much their reward varies.

A prompt whose samples all earn the same teaches nothing (its advantages are zero), so candidates are scored once by the
starting adapter and drawn in proportion to the variance of their reward.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

import torch

from trainer.training.config import GrpoConfig
from trainer.training.examples import Example
from trainer.training.model import JudgeModel, most_likely
from trainer.training.rewards import closeness_variance


def candidate_groups(examples: Sequence[Example], config: GrpoConfig, rng: random.Random) -> list[list[Example]]:
    """Return seeded groups of replies to one context, at most `candidate_contexts` of them."""
    by_context: dict[tuple[int, ...], list[Example]] = defaultdict(list)
    for example in examples:
        by_context[example.path.prefix].append(example)
    size = config.replies_per_context
    groups = []
    for members in by_context.values():
        shuffled = rng.sample(members, len(members))
        groups += [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    several = [group for group in groups if len(group) > 1]
    return rng.sample(several, min(config.candidate_contexts, len(several)))


def select_prompts(
    judge: JudgeModel, candidates: Sequence[list[Example]], config: GrpoConfig, rng: random.Random
) -> list[list[Example]]:
    """Return `contexts` of the candidates, without repeats, drawn in proportion to their reward's variance."""
    keys = []
    for group in candidates:
        distributions = judge.decode([example.path for example in group], most_likely).distributions
        variance = float(closeness_variance(distributions, rating_tensor(group, judge.device)).mean())
        # Efraimidis & Spirakis 2006: the largest u^(1/w) are a weighted sample without replacement.
        keys.append(rng.random() ** (1 / max(variance, 1e-6)))
    order = sorted(range(len(candidates)), key=lambda index: -keys[index])[: config.contexts]
    return [candidates[index] for index in rng.sample(order, len(order))]


def rating_tensor(examples: Sequence[Example], device: torch.device) -> torch.Tensor:
    """Return the ratings (n, 7), NaN where there is none."""
    rows = [[float("nan") if target is None else target for target in example.targets] for example in examples]
    return torch.tensor(rows, device=device)
