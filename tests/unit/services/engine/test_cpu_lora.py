"""The CPU LoRA operators equal vLLM's stock ones on random adapters and mixed batches.

Tolerances: the products are the same sums in another order. In float32, over at most 96 terms of size about 1, they
differ by some 1e-5; in bfloat16 one rounding of the result is 2^-8 of its size, and the stock operators may round the
other way.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vllm.lora.ops import torch_ops
from vllm.lora.ops.torch_ops import lora_ops as stock
from vllm.lora.punica_wrapper import punica_cpu

from services.engine import cpu_lora

RELATIVE = {torch.float32: 1e-4, torch.bfloat16: 2**-7}
ABSOLUTE = {torch.float32: 1e-4, torch.bfloat16: 2**-5}
NO_ADAPTER = -1


class Batch:
    """Random activations, stacked adapters and the slot of each row."""

    def __init__(
        self,
        *,
        slots: int,
        indices: torch.Tensor,
        inner: int,
        outer: int,
        four_dimensions: bool,
        weight_dtype: torch.dtype,
        output_dtype: torch.dtype,
        generator: torch.Generator,
    ) -> None:
        self.indices = indices
        self.output_dtype = output_dtype
        self._generator = generator
        self.inputs = self.random(len(indices), inner).to(weight_dtype)
        self.weights = self.random(slots + 1, outer, inner).to(weight_dtype)
        # Stock reads -1 as the last slot. With nothing in it, "the last slot" and "no adapter" are the same.
        self.weights[-1] = 0
        if four_dimensions:
            self.weights = self.weights.unsqueeze(1)

    def random(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self._generator)

    def outputs(self, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        initial = self.random(len(self.indices), width).to(self.output_dtype)
        return initial.clone(), initial.clone()

    def assert_equal(self, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        kind = self.output_dtype
        torch.testing.assert_close(ours, theirs, rtol=RELATIVE[kind], atol=ABSOLUTE[kind])


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    slots = draw(st.integers(1, 4))
    tokens = draw(st.integers(1, 12))
    return Batch(
        slots=slots,
        indices=torch.tensor(draw(st.lists(st.integers(NO_ADAPTER, slots - 1), min_size=tokens, max_size=tokens))),
        inner=draw(st.sampled_from([1, 3, 16, 96])),
        outer=draw(st.sampled_from([1, 5, 16, 40])),
        four_dimensions=draw(st.booleans()),
        weight_dtype=draw(st.sampled_from([torch.float32, torch.bfloat16])),
        output_dtype=draw(st.sampled_from([torch.float32, torch.bfloat16])),
        generator=torch.Generator().manual_seed(draw(st.integers(0, 2**31))),
    )


@given(batch=batches(), scaling=st.sampled_from([1.0, 0.5, 2.0]), padding=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_shrink_equals_the_stock_operator(batch: Batch, scaling: float, padding: int) -> None:
    ours, theirs = batch.outputs(batch.weights.shape[-2] + padding)
    cpu_lora.bgmv_shrink(batch.inputs, batch.weights, ours, batch.indices, scaling)
    stock.bgmv_shrink(batch.inputs, batch.weights, theirs, batch.indices, scaling)
    batch.assert_equal(ours, theirs)


@given(batch=batches(), add_inputs=st.booleans(), padding=st.integers(-3, 3))
@settings(max_examples=60, deadline=None)
def test_expand_equals_the_stock_operator_when_adapter_and_model_pad_differently(
    batch: Batch, add_inputs: bool, padding: int
) -> None:
    ours, theirs = batch.outputs(max(1, batch.weights.shape[-2] + padding))
    cpu_lora.bgmv_expand(batch.inputs, batch.weights, ours, batch.indices, add_inputs)
    stock.bgmv_expand(batch.inputs, batch.weights, theirs, batch.indices, add_inputs)
    batch.assert_equal(ours, theirs)


@given(batch=batches(), add_inputs=st.booleans(), before=st.integers(0, 5), after=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_expand_slice_equals_the_stock_operator_and_leaves_other_columns(
    batch: Batch, add_inputs: bool, before: int, after: int
) -> None:
    size = batch.weights.shape[-2]
    ours, theirs = batch.outputs(before + size + after)
    cpu_lora.bgmv_expand_slice(batch.inputs, batch.weights, ours, batch.indices, before, size, add_inputs)
    stock.bgmv_expand_slice(batch.inputs, batch.weights, theirs, batch.indices, before, size, add_inputs)
    batch.assert_equal(ours, theirs)


@pytest.mark.parametrize("add_inputs", [True, False], ids=["add", "replace"])
@pytest.mark.parametrize(
    "indices", [[-1, -1, -1], [-1, 0, 1], [1, -1, 1]], ids=["no adapter at all", "each another", "one adapter and none"]
)
def test_rows_without_adapter_get_nothing_even_when_all_slots_are_filled(indices: list[int], add_inputs: bool) -> None:
    torch.manual_seed(0)
    inputs, weights = torch.randn(3, 4), torch.randn(2, 5, 4)
    before = torch.randn(3, 5)
    after = before.clone()
    cpu_lora.bgmv_expand(inputs, weights, after, torch.tensor(indices), add_inputs)
    base = before if add_inputs else torch.zeros_like(before)
    expected = torch.stack(
        [base[row] + (weights[slot] @ inputs[row] if slot != NO_ADAPTER else 0) for row, slot in enumerate(indices)]
    )
    torch.testing.assert_close(after, expected)


def test_one_index_for_all_rows_is_broadcast_as_in_the_stock_operator() -> None:
    torch.manual_seed(0)
    inputs, weights, index = torch.randn(6, 4), torch.randn(2, 5, 4), torch.tensor([1])
    ours, theirs = torch.zeros(6, 5), torch.zeros(6, 5)
    cpu_lora.bgmv_shrink(inputs, weights, ours, index)
    stock.bgmv_shrink(inputs, weights, theirs, index)
    torch.testing.assert_close(ours, theirs)


def test_registering_on_a_cpu_replaces_the_operators_where_vllm_calls_them() -> None:
    names = ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice")
    modules = (stock, torch_ops, punica_cpu)
    originals = {(module, name): getattr(module, name) for module in modules for name in names}
    try:
        cpu_lora.register()
        assert all(getattr(module, name) is getattr(cpu_lora, name) for module in modules for name in names)
    finally:
        for (module, name), original in originals.items():
            setattr(module, name, original)
