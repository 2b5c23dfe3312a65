"""AdamW on float32 copies of the adapter's weights, at a learning rate that is a function of the step alone.

The model computes in bfloat16; steps of 1e-4 would be rounded away there.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from trainer.training.config import OptimizerConfig


class MasterAdamW:
    """The optimizer with its float32 weights."""

    def __init__(self, model: nn.Module, config: OptimizerConfig, total_steps: int) -> None:
        self._config = config
        self._total_steps = total_steps
        self._live = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._master = {name: weight.detach().float().clone() for name, weight in self._live.items()}
        self._adamw = torch.optim.AdamW(
            list(self._master.values()),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )

    @property
    def gradients(self) -> list[torch.Tensor]:
        """The gradients of the model's trained weights, to average between processes."""
        return [weight.grad for weight in self._live.values() if weight.grad is not None]

    def learning_rate(self, step: int) -> float:
        """Return the rate of the step that follows `step` finished ones."""
        config = self._config
        if step < config.warmup_steps:
            return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
        done = (step - config.warmup_steps) / max(1, self._total_steps - config.warmup_steps)
        share = config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return config.learning_rate * share

    def step(self, step: int) -> float:
        """Apply the gradients of one batch, clear them, and return their norm before clipping."""
        for name, weight in self._live.items():
            self._master[name].grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self._master.values(), self._config.clip_norm)
        for group in self._adamw.param_groups:
            group["lr"] = self.learning_rate(step)
        self._adamw.step()
        self._publish()
        return float(norm)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the weights and moments by name, for a checkpoint."""
        tensors = {f"weight/{name}": weight for name, weight in self._master.items()}
        for name, weight in self._master.items():
            moments: Mapping[str, Any] = self._adamw.state.get(weight, {})
            tensors |= {f"{key}/{name}": value.clone() for key, value in moments.items()}
        return tensors

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Continue from what `state` returned."""
        for name, weight in self._master.items():
            weight.data.copy_(tensors[f"weight/{name}"])
            moments = {
                key: tensors[f"{key}/{name}"].clone()
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"{key}/{name}" in tensors
            }
            if moments:
                self._adamw.state[weight] = moments
        self._publish()

    def _publish(self) -> None:
        with torch.no_grad():
            for name, weight in self._live.items():
                weight.copy_(self._master[name])
