"""Cross entropy over a large vocabulary, a few positions at a time.

Gemma's vocabulary is 262k: the logits of one batch's completions would take gigabytes. Each chunk's logits exist once,
in the forward pass, where their gradient with respect to the hidden states is taken as well (two products a position,
as against three with recomputation).
"""

from typing import Any, TypeAlias

import torch

_Context: TypeAlias = Any
"""What torch hands to both passes; it has no type of its own."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, chunk: int
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden)
        for start in range(0, hidden.shape[0], chunk):
            rows, wanted = hidden[start : start + chunk], targets[start : start + chunk, None]
            logits = (rows @ head.T).float()
            norms = logits.logsumexp(dim=-1, keepdim=True)
            total += (norms - logits.gather(1, wanted)).sum()
            logits.sub_(norms).exp_()
            logits.scatter_add_(1, wanted, torch.full_like(norms, -1.0))
            gradient[start : start + chunk] = logits.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: _Context, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].to(gradient.dtype), None, None, None


def summed_cross_entropy(
    hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, positions_per_chunk: int
) -> torch.Tensor:
    """Return the sum over positions of -log p(target), a float32 scalar; `head` is frozen and gets no gradient.

    Args:
        hidden: states that predict the targets, (positions, hidden size).
        head: the language-model head, (vocabulary, hidden size).
        targets: token ids, (positions).
        positions_per_chunk: how many rows of logits exist at once.
    """
    total: torch.Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, head, targets, positions_per_chunk
    )
    return total
