"""Cross entropy over a large vocabulary: a sample of its tokens, a few positions at a time.

Gemma's vocabulary is 262k: the logits of one batch's completions would take gigabytes, and more time than the network.
So a step looks at every token that its run ever writes and at a random sample of all others, which stands for them
(sampled softmax: Bengio and Senecal 2008, doi 10.1109/TNN.2007.912312). Each chunk's logits exist once, in the forward
pass, where their gradient with respect to the hidden states is taken as well (two products a position, as against three
with recomputation).
"""

import math
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import torch

_Context: TypeAlias = Any
"""What torch hands to both passes; it has no type of its own."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that a step looks at.

    Attributes:
        ids: their ids, (tokens); those that the run writes come first, in rising order.
        weights: what is added to their logits, (tokens) float32: the logarithm of how many tokens each stands for.
        written: how many of them the run writes; targets are among these.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    written: int

    @classmethod
    def sampled(cls, written: torch.Tensor, size: int, others: int, seed: int) -> Self:
        """Return the written tokens and a seeded sample of `others` of the rest.

        Args:
            written: the ids of all tokens that the run writes, distinct and in rising order.
            size: how many tokens there are in all.
            others: how many of the rest to draw; all of them where there are no more.
            seed: of the draw.
        """
        left = torch.ones(size, dtype=torch.bool)
        left[written] = False
        rest = left.nonzero().squeeze(1)
        drawn = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))[:others]]
        weights = torch.zeros(len(written) + len(drawn))
        if len(drawn):
            weights[len(written) :] = math.log(len(rest) / len(drawn))
        return cls(torch.cat([written, drawn]), weights, len(written))

    def places(self, targets: torch.Tensor) -> torch.Tensor:
        """Return where the targets stand among `ids`, (positions)."""
        return torch.searchsorted(self.ids[: self.written].contiguous(), targets)


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context,
        hidden: torch.Tensor,
        head: torch.Tensor,
        weights: torch.Tensor,
        targets: torch.Tensor,
        chunk: int,
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden)
        for start in range(0, hidden.shape[0], chunk):
            rows, wanted = hidden[start : start + chunk], targets[start : start + chunk, None]
            logits = (rows @ head.T).float() + weights
            norms = logits.logsumexp(dim=-1, keepdim=True)
            total += (norms - logits.gather(1, wanted)).sum()
            logits.sub_(norms).exp_()
            logits.scatter_add_(1, wanted, torch.full_like(norms, -1.0))
            gradient[start : start + chunk] = logits.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: _Context, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].to(gradient.dtype), None, None, None, None


def summed_cross_entropy(
    hidden: torch.Tensor, head: torch.Tensor, vocabulary: Vocabulary, targets: torch.Tensor, positions_per_chunk: int
) -> torch.Tensor:
    """Return the sum over positions of -log p(target), a float32 scalar; `head` is frozen and gets no gradient.

    Args:
        hidden: states that predict the targets, (positions, hidden size).
        head: the language-model head, (all tokens, hidden size).
        vocabulary: the tokens to look at, on the same device.
        targets: token ids, (positions), each among the written ones.
        positions_per_chunk: how many rows of logits exist at once.
    """
    total: torch.Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, head[vocabulary.ids], vocabulary.weights, vocabulary.places(targets), positions_per_chunk
    )
    return total
