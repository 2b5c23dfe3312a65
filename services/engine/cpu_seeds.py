"""Seeded sampling in a prompt that is read in parts, on vLLM's CPU backend.

Where a prompt is longer than one step reads, vLLM samples a token after each part, throws it away, and winds the
request's random generator back by its offset. A CPU generator has none: vLLM 0.32 raises, and the whole engine ends.
Here such a generator's state is kept before the step and put back after it, so that a seed gives the same answer
however its prompt was read. vLLM finds `register` by the entry point group `vllm.general_plugins`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def register() -> None:
    """Replace the two steps of the CPU model runner; does nothing unless the platform is a CPU."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner

    sample, bookkeep = CPUModelRunner._sample, CPUModelRunner._bookkeeping_sync

    def sample_and_rewind(runner: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - vLLM's own
        states = {index: generator.get_state() for index, generator in _unread(runner).items()}
        output = sample(runner, *arguments, **named)
        for index, state in states.items():
            runner.input_batch.generators[index].set_state(state)
        return output

    def bookkeep_without_rewinding(runner: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - vLLM's own
        rewound = _unread(runner)
        for index in rewound:
            del runner.input_batch.generators[index]
        try:
            return bookkeep(runner, *arguments, **named)
        finally:
            runner.input_batch.generators.update(rewound)

    CPUModelRunner._sample = sample_and_rewind
    CPUModelRunner._bookkeeping_sync = bookkeep_without_rewinding


def _unread(runner: Any) -> dict[int, torch.Generator]:  # noqa: ANN401 - vLLM's own
    """Return the generators of requests whose prompt this step does not finish, by their place in the batch."""
    batch = runner.input_batch
    discarded = runner.discard_request_mask.np[: batch.num_reqs].nonzero()[0]
    return {int(index): batch.generators[int(index)] for index in discarded if int(index) in batch.generators}
