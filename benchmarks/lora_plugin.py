"""How much the CPU LoRA operators gain over vLLM's stock ones: `python benchmarks/lora_plugin.py`.

Both run in this process on the same random tensors, one layer's shapes of the embedded model (Gemma 3 270M: hidden 640,
MLP 2048, rank 16, eight slots), turn and turn about, and the fastest round of each counts. Three batches: a judge's
prefill through one adapter, a prefill shared by two adapters and base-model rows, and a decoding step of sixteen
requests.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from vllm.lora.ops.torch_ops import lora_ops as stock

from services.engine import cpu_lora

SLOTS, RANK, HIDDEN, MLP = 8, 16, 640, 2048
ROUNDS = 31


@dataclass(frozen=True)
class Comparison:
    """The fastest rounds for one batch: the ones that other work on the machine disturbed least."""

    batch: str
    tokens: int
    stock_ms: float
    ours_ms: float
    speedup: float
    largest_difference: float
    """Between the two results, relative to the largest absolute result."""


def main() -> None:
    torch.manual_seed(0)
    prefill, decode = 390, 16
    batches = {
        "prefill, one adapter": torch.full((prefill,), 3),
        "prefill, two adapters and base rows": torch.tensor([-1] * 130 + [2] * 130 + [5] * 130),
        "decode, one adapter": torch.full((decode,), 3),
        "decode, four adapters and base rows": torch.tensor([-1, 0, 2, 5, 6, -1, 0, 2, 5, 6, -1, 0, 2, 5, 6, 0]),
    }
    for name, indices in batches.items():
        print(json.dumps(asdict(compare(name, indices))))


def compare(name: str, indices: torch.Tensor) -> Comparison:
    """Time one adapted projection (shrink, then expand into a slice) both ways."""
    inputs = torch.randn(len(indices), HIDDEN).to(torch.bfloat16)
    weights_a = torch.randn(SLOTS, 1, RANK, HIDDEN).to(torch.bfloat16)
    weights_b = torch.randn(SLOTS, 1, MLP, RANK).to(torch.bfloat16)
    # The stock operators read -1 as the last slot: it stays empty, so that both compute the same.
    weights_a[-1], weights_b[-1] = 0, 0

    def project(operators: object) -> torch.Tensor:
        shrink: Callable[..., None] = getattr(operators, "bgmv_shrink")  # noqa: B009 - one name on two modules
        expand: Callable[..., None] = getattr(operators, "bgmv_expand_slice")  # noqa: B009
        shrunk = torch.zeros(len(indices), RANK)
        output = torch.zeros(len(indices), 2 * MLP, dtype=torch.bfloat16)
        shrink(inputs, weights_a, shrunk, indices, 1.0)
        expand(shrunk, weights_b, output, indices, MLP, MLP, True)
        return output

    theirs, ours = project(stock), project(cpu_lora)
    times: dict[str, list[float]] = {"stock": [], "ours": []}
    for _ in range(ROUNDS):
        times["stock"].append(_elapsed_ms(lambda: project(stock)))
        times["ours"].append(_elapsed_ms(lambda: project(cpu_lora)))
    stock_ms, ours_ms = min(times["stock"]), min(times["ours"])
    difference = float((theirs.float() - ours.float()).abs().max() / theirs.float().abs().max())
    return Comparison(
        name, len(indices), round(stock_ms, 3), round(ours_ms, 3), round(stock_ms / ours_ms, 1), difference
    )


def _elapsed_ms(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return (time.perf_counter() - started_s) * 1e3


if __name__ == "__main__":
    main()
