"""LoRA at the speed of a matrix product on vLLM's CPU backend.

vLLM's torch fallback gathers one copy of the adapter's weights for every token of the batch before it multiplies. Here
each distinct adapter in the batch costs one matrix product over the rows that use it. The functions replace vLLM's of
the same names and keep their signatures, dtypes and shape rules; vLLM finds `register` by the entry point group
`vllm.general_plugins`.

One difference is on purpose. A row with index -1 belongs to no adapter (vLLM's GPU kernels skip it); the stock fallback
reads it as "the last slot", so that a base-model request in a mixed batch gets the last slot's adapter once all slots
are filled. Here such a row contributes zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, dtype

NO_ADAPTER = -1


def register() -> None:
    """Replace the three stock operators where vLLM looks them up; does nothing unless the platform is a CPU."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.lora.ops import torch_ops
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    for module in (lora_ops, torch_ops, punica_cpu):
        for operator in (bgmv_shrink, bgmv_expand, bgmv_expand_slice):
            setattr(module, operator.__name__, operator)


def bgmv_shrink(
    inputs: Tensor,
    lora_b_weights: Tensor,
    output_tensor: Tensor,
    lora_indices_tensor: Tensor,
    scaling: float = 1.0,
) -> None:
    """Write `scaling * inputs @ A.T` into `output_tensor`, each row by its own adapter.

    Args:
        inputs: activations, [tokens, hidden].
        lora_b_weights: the stacked A matrices, [slots, rank, hidden] or [slots, 1, rank, hidden] (vLLM's name for the
        argument).
        output_tensor: [tokens, at least rank], float32 as vLLM calls it; written in place.
        lora_indices_tensor: the slot of each row, or -1 for none, [tokens] or [1] for all rows alike.
        scaling: the factor on the product.
    """
    outputs = _adapted(inputs, lora_b_weights, lora_indices_tensor, output_tensor.dtype)
    if outputs is None:
        output_tensor[:, : lora_b_weights.shape[-2]] = 0
    else:
        output_tensor[:, : outputs.shape[1]] = scaling * outputs


def bgmv_expand(
    inputs: Tensor,
    lora_b_weights: Tensor,
    output_tensor: Tensor,
    lora_indices_tensor: Tensor,
    add_inputs: bool = True,
) -> None:
    """Add (or write) `inputs @ B.T` to `output_tensor`, each row by its own adapter.

    Args:
        inputs: the shrunk activations, [tokens, rank].
        lora_b_weights: the stacked B matrices, [slots, out, rank] or [slots, 1, out, rank].
        output_tensor: [tokens, out]; adapter and model may pad `out` differently, so the shorter one counts.
        lora_indices_tensor: the slot of each row, or -1 for none, [tokens] or [1] for all rows alike.
        add_inputs: add to what is there rather than replace it.
    """
    outputs = _adapted(inputs, lora_b_weights, lora_indices_tensor, output_tensor.dtype)
    width = min(lora_b_weights.shape[-2], output_tensor.shape[1])
    if outputs is not None:
        rows = 1 if outputs.shape[0] == 1 else output_tensor.shape[0]
        outputs = outputs[:rows, :width]
    _store(output_tensor[:, :width], outputs, add_inputs=add_inputs)


def bgmv_expand_slice(
    inputs: Tensor,
    lora_b_weights: Tensor,
    output_tensor: Tensor,
    lora_indices_tensor: Tensor,
    slice_offset: int,
    slice_size: int,
    add_inputs: bool = True,
) -> None:
    """Do what `bgmv_expand` does on the columns `slice_offset` to `slice_offset + slice_size` of `output_tensor`."""
    outputs = _adapted(inputs, lora_b_weights, lora_indices_tensor, output_tensor.dtype)
    _store(output_tensor[:, slice_offset : slice_offset + slice_size], outputs, add_inputs=add_inputs)


def _store(target: Tensor, outputs: Tensor | None, *, add_inputs: bool) -> None:
    if outputs is None:
        if not add_inputs:
            target.zero_()
    elif add_inputs:
        target += outputs
    else:
        target.copy_(outputs.expand_as(target))


def _adapted(inputs: Tensor, weights: Tensor, indices: Tensor, compute_dtype: dtype) -> Tensor | None:
    """Return each row's product with its own adapter, [tokens, out], or None when no row has an adapter."""
    import torch
    from torch.nn.functional import linear

    if weights.dim() == 4:
        weights = weights.squeeze(1)
    lowest, highest = (int(bound) for bound in indices.aminmax())
    if highest == NO_ADAPTER:
        return None
    inputs = inputs.to(compute_dtype)
    if lowest == highest:
        return linear(inputs, weights[highest].to(compute_dtype))
    outputs = inputs.new_zeros(inputs.shape[0], weights.shape[1])
    for slot in torch.unique(indices).tolist():
        if slot == NO_ADAPTER:
            continue
        rows = (indices == slot).nonzero().squeeze(1)
        outputs[rows] = linear(inputs[rows], weights[slot].to(compute_dtype))
    return outputs
