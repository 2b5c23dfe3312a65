"""The chunked cross entropy equals torch's, value and gradient; a sample of the vocabulary stands for all of it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.roles.loss import Vocabulary, summed_cross_entropy

SIZE = 11


@pytest.mark.parametrize("chunk", [1, 3, 7, 50])
def test_value_and_gradient_equal_torchs_when_every_token_is_looked_at(chunk: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    plain = hidden.detach().clone().requires_grad_()
    head, targets = torch.randn(SIZE, 5, dtype=torch.float64), torch.randint(SIZE, (7,))
    vocabulary = Vocabulary.sampled(torch.unique(targets), SIZE, SIZE, seed=1)
    ours = 0.5 * summed_cross_entropy(hidden, head, vocabulary, targets, chunk)
    theirs = 0.5 * torch.nn.functional.cross_entropy(plain @ head.T, targets, reduction="sum")
    torch.autograd.backward([ours, theirs])
    # The logits are summed in float32 whatever the states are.
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(hidden.grad, plain.grad, rtol=1e-5, atol=1e-5)


@given(written=st.sets(st.integers(0, 99), min_size=1, max_size=40), others=st.integers(1, 120), seed=st.integers(0, 9))
def test_a_sample_holds_what_is_written_and_stands_for_the_rest(written: set[int], others: int, seed: int) -> None:
    ids = torch.tensor(sorted(written))
    vocabulary = Vocabulary.sampled(ids, 100, others, seed)
    drawn = vocabulary.ids[len(written) :].tolist()
    assert vocabulary.ids[: len(written)].tolist() == sorted(written)
    assert len(set(drawn)) == len(drawn) == min(others, 100 - len(written))
    assert not written & set(drawn)
    assert float(vocabulary.weights.exp().sum()) == pytest.approx(100, rel=1e-4)
    assert torch.equal(vocabulary.ids[vocabulary.places(ids)], ids)
    assert torch.equal(vocabulary.ids, Vocabulary.sampled(ids, 100, others, seed).ids)


def test_samples_come_to_the_whole_on_average() -> None:
    torch.manual_seed(0)
    hidden, head, targets = torch.randn(4, 8), torch.randn(500, 8), torch.randint(20, (4,))
    whole = torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="none")
    draws = [Vocabulary.sampled(torch.arange(20), 500, 60, seed) for seed in range(400)]
    for place in range(4):
        one, wanted = hidden[place : place + 1], targets[place : place + 1]
        # It is the sum of the exponentials, not its logarithm, that a sample meets on average.
        sums = [math.exp(float(summed_cross_entropy(one, head, draw, wanted, 8))) for draw in draws]
        assert sum(sums) / len(sums) == pytest.approx(math.exp(float(whole[place])), rel=0.05)
