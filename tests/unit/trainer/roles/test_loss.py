"""The chunked cross entropy equals torch's, value and gradient."""

import pytest
import torch

from trainer.roles.loss import summed_cross_entropy


@pytest.mark.parametrize("chunk", [1, 3, 7, 50])
def test_value_and_gradient_equal_torchs(chunk: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    plain = hidden.detach().clone().requires_grad_()
    head, targets = torch.randn(11, 5, dtype=torch.float64), torch.randint(11, (7,))
    ours = 0.5 * summed_cross_entropy(hidden, head, targets, chunk)
    theirs = 0.5 * torch.nn.functional.cross_entropy(plain @ head.T, targets, reduction="sum")
    torch.autograd.backward([ours, theirs])
    # The logits are summed in float32 whatever the states are.
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(hidden.grad, plain.grad, rtol=1e-5, atol=1e-5)
