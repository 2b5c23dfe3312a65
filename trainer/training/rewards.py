"""What sampled verdicts earn in GRPO, dimension by dimension.

The judge serves the expectation of its distribution, so a verdict earns by what it does to the expectation, not by
being the rating itself: rewarding each sample's own closeness would collapse the distribution on one level. With m the
mean of the other samples of the same prompt, y the rating and d the verdict, `closeness` is -2 (m - y)(d - m), the
first-order fall of (m - y)^2: its policy gradient is that of the squared error of the expected score.
"""

from dataclasses import dataclass

import torch

from trainer.training.config import RewardConfig


@dataclass(frozen=True, slots=True)
class Rewards:
    """Rewards of sampled verdicts, each (prompts, samples, 7)."""

    closeness: torch.Tensor
    ordering: torch.Tensor

    def total(self, config: RewardConfig) -> torch.Tensor:
        """Return the weighted sum, (prompts, samples, 7)."""
        return config.closeness * self.closeness + config.ordering * self.ordering


def score_verdicts(levels: torch.Tensor, ratings: torch.Tensor, contexts: list[int], gap: float) -> Rewards:
    """Return the rewards of sampled verdicts.

    Args:
        levels: (prompts, samples, 7), from 1 to 5.
        ratings: (prompts, 7); NaN where the rater gave none (such a dimension earns nothing).
        contexts: for each prompt which context it replies to; replies to one context are put in order.
        gap: ratings closer than this have no order.
    """
    verdicts = levels.float()
    samples = verdicts.shape[1]
    means = verdicts.mean(dim=1, keepdim=True)
    others = (means * samples - verdicts) / (samples - 1)
    closeness = -2 * (others - ratings[:, None]) * (verdicts - others)
    return Rewards(closeness.nan_to_num(0.0), _ordering(verdicts, means[:, 0], ratings, contexts, gap))


def _ordering(
    verdicts: torch.Tensor, means: torch.Tensor, ratings: torch.Tensor, contexts: list[int], gap: float
) -> torch.Tensor:
    """Return the mean over ordered rivals of +1 if a verdict is on the right side of the rival's mean, -1 if not."""
    context = torch.tensor(contexts, device=verdicts.device)
    difference = ratings[:, None] - ratings[None, :]
    ordered = (context[:, None] == context[None, :])[..., None] & (difference.abs() >= gap)
    side = (verdicts[:, None] - means[None, :, None]).clamp(-1, 1)
    agreement = side * difference.nan_to_num(0.0).sign()[:, :, None]
    counts = ordered.sum(dim=1).clamp(min=1)[:, None]
    return (agreement * ordered[:, :, None]).sum(dim=1) / counts


def closeness_variance(distributions: torch.Tensor, ratings: torch.Tensor) -> torch.Tensor:
    """Return how much the closeness reward varies under the policy, (prompts): what there is to learn from a prompt.

    For large groups the reward is -2 (E - y)(d - E), whose variance is 4 (E - y)^2 Var(d).
    """
    levels = torch.arange(1, 6, dtype=distributions.dtype, device=distributions.device)
    expected = distributions @ levels
    variance = distributions @ levels.square() - expected.square()
    return (4 * (expected - ratings).square() * variance).nan_to_num(0.0).mean(dim=-1)
