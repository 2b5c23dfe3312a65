"""The objective: soft labels keep the rating, rare labels weigh more, pairs are pulled apart."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.training.config import LossConfig
from trainer.training.examples import Example
from trainer.training.losses import batch_loss, expected_scores, label_weights, soft_labels
from trainer.training.token_tree import TokenPath

_PATH = TokenPath((1,), (2,))


def _example(score: float | None, role: str | None = None) -> Example:
    pair = None if role is None else "pair"
    return Example(_PATH, (score,) * 7, pair, role, None if role is None else 3)


@given(st.floats(1, 5, allow_nan=False))
def test_soft_labels_are_distributions_with_the_rating_as_expectation(rating: float) -> None:
    labels = soft_labels(torch.tensor([rating], dtype=torch.float64))[0]
    assert labels.sum().item() == pytest.approx(1)
    assert (labels @ torch.arange(1.0, 6.0, dtype=torch.float64)).item() == pytest.approx(rating)
    assert int((labels > 0).sum()) <= 2


def test_expected_score_is_the_mean_level() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.2, 0.2]]))
    assert expected_scores(logits).item() == pytest.approx(3.2)


def test_rare_labels_weigh_more_and_the_mean_weight_is_one() -> None:
    examples = [_example(5.0)] * 9 + [_example(1.0)]
    weights = label_weights(examples, rarity=0.5).by_level[0]
    assert weights[0] > weights[4]
    assert (9 * weights[4] + weights[0]).item() / 10 == pytest.approx(1)


def test_unknown_ratings_give_no_gradient() -> None:
    examples = [_example(None)]
    logits = torch.zeros(1, 7, 5, requires_grad=True)
    torch.autograd.backward(batch_loss(logits, examples, label_weights(examples, 0.3), LossConfig()))
    assert logits.grad is not None
    assert logits.grad.abs().max().item() == 0


@pytest.mark.parametrize(
    ("better", "worse", "grows"),
    [
        pytest.param(4.0, 4.0, True, id="no difference"),
        pytest.param(2.0, 4.0, True, id="wrong order"),
        pytest.param(5.0, 1.0, False, id="more than the margin"),
    ],
)
def test_pairs_cost_what_they_fall_short_of_the_margin(better: float, worse: float, grows: bool) -> None:
    examples = [_example(better, "better"), _example(worse, "worse")]
    logits = (soft_labels(torch.tensor([[better] * 7, [worse] * 7])) + 1e-6).log()
    weights = label_weights(examples, 0.0)
    alone = batch_loss(logits, examples, weights, LossConfig(pair=0))
    together = batch_loss(logits, examples, weights, LossConfig(pair=1, pair_margin=1))
    assert ((together - alone).item() > 0.5) is grows
