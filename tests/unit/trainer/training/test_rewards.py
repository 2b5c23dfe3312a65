"""What verdicts earn: their policy gradient is that of the expected score's error, and order is rewarded."""

import pytest
import torch

from trainer.training.config import RewardConfig
from trainer.training.rewards import closeness_variance, score_verdicts

LEVELS = torch.arange(1.0, 6.0)


def _same(levels: list[list[int]]) -> torch.Tensor:
    """Return verdicts (prompts, samples, 7), one level on all dimensions."""
    return torch.tensor(levels)[..., None].expand(-1, -1, 7)


def test_policy_gradient_of_closeness_is_that_of_the_squared_error() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([0.3, -0.2, 0.5, 0.1, -0.4], dtype=torch.float64, requires_grad=True)
    rating = torch.full((1, 7), 4.2)
    distribution = logits.softmax(-1)
    wanted = torch.autograd.grad((distribution @ LEVELS.double() - 4.2).square(), logits, retain_graph=True)[0]
    levels = torch.multinomial(distribution.detach().expand(7, -1), 200_000, replacement=True) + 1
    rewards = score_verdicts(levels.T[None], rating, [0], 0.5).closeness[0].T.double()
    score = (rewards * distribution.log()[levels - 1]).mean()
    found = -torch.autograd.grad(score, logits)[0]
    # 1.4 million samples of a quantity of order 1.
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("ratings", "levels", "signs"),
    [
        pytest.param((4.0, 2.0), [[5, 5], [1, 1]], (1, 1), id="right order"),
        pytest.param((4.0, 2.0), [[1, 1], [5, 5]], (-1, -1), id="wrong order"),
        pytest.param((4.0, 3.9), [[5, 5], [1, 1]], (0, 0), id="ratings too close"),
        pytest.param((4.0, float("nan")), [[5, 5], [1, 1]], (0, 0), id="one unrated"),
    ],
)
def test_order_among_replies_to_one_context_is_rewarded(
    ratings: tuple[float, float], levels: list[list[int]], signs: tuple[int, int]
) -> None:
    rated = torch.tensor(ratings)[:, None].expand(-1, 7)
    together = score_verdicts(_same(levels), rated, [0, 0], 0.5).ordering
    assert together.sign()[:, 0, 0].tolist() == list(signs)
    apart = score_verdicts(_same(levels), rated, [0, 1], 0.5).ordering
    assert apart.abs().max().item() == 0


def test_unrated_dimensions_earn_nothing() -> None:
    rewards = score_verdicts(_same([[1, 5]]), torch.full((1, 7), float("nan")), [0], 0.5).total(RewardConfig())
    assert rewards.abs().max().item() == 0


@pytest.mark.parametrize(
    ("distribution", "rating", "variance"),
    [
        pytest.param([0, 0, 1, 0, 0], 1.0, 0.0, id="certain and wrong: no sample differs"),
        pytest.param([0, 0.5, 0, 0.5, 0], 3.0, 0.0, id="unsure and right: nothing to gain"),
        pytest.param([0, 0.5, 0, 0.5, 0], 4.0, 4.0, id="unsure and wrong"),
    ],
)
def test_prompts_that_can_teach_have_reward_variance(distribution: list[float], rating: float, variance: float) -> None:
    distributions = torch.tensor(distribution).expand(1, 7, 5)
    assert closeness_variance(distributions, torch.full((1, 7), rating)).item() == pytest.approx(variance)
