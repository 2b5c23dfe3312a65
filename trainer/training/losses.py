"""The supervised objective: seven ordered verdicts a reply.

Labels between two levels are soft (3.4 is 0.6 on 3 and 0.4 on 4), so cross entropy teaches the distribution whose
expectation is the label; the squared error of that expectation and the margin of authored pairs act on the score that
is served.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from services.contracts.dimensions import DIMENSIONS, LEVELS
from trainer.training.config import LossConfig
from trainer.training.examples import Example


@dataclass(frozen=True, slots=True)
class LabelWeights:
    """How much a label counts.

    Attributes:
        by_level: (7, 5) cross-entropy weights by dimension and rounded label, mean 1 over the run's labels.
        by_variance: (7,) weights of the squared error, so that a dimension with little spread counts as much.
    """

    by_level: torch.Tensor
    by_variance: torch.Tensor


def label_weights(examples: Sequence[Example], rarity: float) -> LabelWeights:
    """Return the weights for a run's examples; a label weighs by its frequency to the power of minus `rarity`."""
    targets, known = target_tensor(examples)
    by_level = torch.ones(len(DIMENSIONS), len(LEVELS))
    variances = torch.ones(len(DIMENSIONS))
    for dimension in range(len(DIMENSIONS)):
        labels = targets[known[:, dimension], dimension]
        if labels.numel() == 0:
            continue
        counts = torch.bincount(labels.round().long() - 1, minlength=len(LEVELS)).float()
        raw = counts.clamp(min=1).div(counts.sum()).pow(-rarity)
        by_level[dimension] = raw / ((raw * counts).sum() / counts.sum())
        variances[dimension] = labels.var(correction=0).clamp(min=0.1)
    return LabelWeights(by_level, variances.mean() / variances)


def target_tensor(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return targets (n, 7) with 3 where unknown, and which are known (n, 7)."""
    known = torch.tensor([[target is not None for target in example.targets] for example in examples])
    values = [[3.0 if target is None else target for target in example.targets] for example in examples]
    return torch.tensor(values), known


def soft_labels(targets: torch.Tensor) -> torch.Tensor:
    """Return distributions over the five levels, shape (*targets, 5), with the targets as their expectations."""
    levels = torch.tensor(LEVELS, dtype=targets.dtype, device=targets.device)
    return (1 - (targets[..., None] - levels).abs()).clamp(min=0)


def expected_scores(logits: torch.Tensor) -> torch.Tensor:
    """Return the expectation over the five levels, (..., 5) to (...)."""
    levels = torch.tensor(LEVELS, dtype=logits.dtype, device=logits.device)
    return logits.softmax(dim=-1) @ levels


def batch_loss(
    logits: torch.Tensor, examples: Sequence[Example], weights: LabelWeights, config: LossConfig
) -> torch.Tensor:
    """Return the sum over examples of the loss; `logits` are (examples, 7, 5) in float32."""
    targets, known = (tensor.to(logits.device) for tensor in target_tensor(examples))
    levels = targets.round().long() - 1
    by_level = weights.by_level.to(logits.device)
    weight = by_level[torch.arange(len(DIMENSIONS), device=logits.device), levels] * known
    entropy = -(soft_labels(targets) * logits.log_softmax(dim=-1)).sum(dim=-1)
    scores = expected_scores(logits)
    squared = (scores - targets).square() * weights.by_variance.to(logits.device)
    loss = (weight * (entropy + config.expectation * squared)).mean(dim=1).sum()
    return loss + config.pair * _pair_loss(scores, examples, config.pair_margin)


def _pair_loss(scores: torch.Tensor, examples: Sequence[Example], margin: float) -> torch.Tensor:
    """Return the sum over whole pairs of how far the better reply falls short of its margin over the worse."""
    pairs: dict[str, dict[str, int]] = defaultdict(dict)
    for index, example in enumerate(examples):
        if example.pair and example.pair_role:
            pairs[example.pair][example.pair_role] = index
    loss = scores.new_zeros(())
    for pair in pairs.values():
        dimension = examples[next(iter(pair.values()))].pair_dimension
        if len(pair) == 2 and dimension is not None:
            loss = loss + (margin - scores[pair["better"], dimension] + scores[pair["worse"], dimension]).clamp(min=0)
    return loss
