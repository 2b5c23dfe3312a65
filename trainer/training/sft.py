"""The supervised warm start: the loop from a configuration to an adapter.

A step is a function of the configuration, the data and its number, so a run that is killed and continued gives the same
weights. Several processes (accelerate) share each batch's parts and average their gradients.
"""

import hashlib
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import PeftModel

from services.contracts.dimensions import LEVELS
from services.rubric.prompt import ScoringPromptRenderer
from trainer.training.batching import plan_batches, split_for_memory
from trainer.training.checkpointing import Progress, load_state, memory_explained, save_adapter, save_state
from trainer.training.config import SftConfig
from trainer.training.examples import Example, input_digests, read_rows, scheduled_rows, to_example
from trainer.training.losses import LabelWeights, batch_loss, label_weights, soft_labels, target_tensor
from trainer.training.model import (
    JudgeModel,
    fuse_layers,
    judge_model,
    load_base,
    load_renderer,
    with_adapter,
    with_new_adapter,
)
from trainer.training.optimizer import MasterAdamW
from trainer.training.progress import ProgressLog

_log = logging.getLogger(__name__)
_MEMORY = "tokens_per_forward (or turn model.gradient_checkpointing on)"


@dataclass(frozen=True, slots=True)
class _Run:
    config: SftConfig
    batches: list[list[Example]]
    weights: LabelWeights
    verdicts: torch.Tensor
    resolved: str

    @property
    def fingerprint(self) -> str:
        """Digest of the resolved configuration, data digests included."""
        return hashlib.sha256(self.resolved.encode()).hexdigest()


def train_sft(config: SftConfig, out: Path) -> Path:
    """Train as configured, continuing what is in `out`; return the adapter's folder.

    Raises:
        TrainerError: data, configuration or checkpoint cannot be used, or memory or disk is full.
    """
    accelerator = Accelerator()
    set_seed(config.seed)
    renderer = load_renderer(config.model)
    run = _prepare(config, renderer)
    model = _model(config)
    if config.model.compile:
        fuse_layers(model)
    start = _trained(model) if config.start_share else {}
    judge = judge_model(model, renderer.tokenizer.level_ids, accelerator.device)
    optimizer = MasterAdamW(model, config.optimizer, len(run.batches))
    state, adapter = out / "checkpoint", out / "adapter"
    first, spent = 0, 0.0
    if (saved := load_state(state, run.fingerprint)) is not None:
        progress, tensors = saved
        optimizer.restore(tensors)
        first, spent = progress.step, progress.elapsed_s
        _log.info("continuing after step %d of %d", first, len(run.batches))
    if accelerator.is_main_process:
        # Only now is the folder known to be this run's: a refused one keeps the configuration of its own weights.
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text(run.resolved + "\n", encoding="utf-8")
    log = ProgressLog(out / "progress.jsonl", len(run.batches), config.log_every_s, spent)
    kept_s = log.elapsed_s
    model.train()
    for step in range(first, len(run.batches)):
        with memory_explained(_MEMORY):
            loss, tokens = _backward(judge, run, step, accelerator)
        norm = optimizer.step(step)
        if accelerator.is_main_process:
            rate = optimizer.learning_rate(step)
            log.step(step + 1, loss=loss, grad_norm=norm, rate=rate, tokens=tokens, replies=len(run.batches[step]))
            if log.elapsed_s - kept_s >= config.checkpoint_every_s or step + 1 == len(run.batches):
                done = Progress(step=step + 1, elapsed_s=log.elapsed_s, fingerprint=run.fingerprint)
                save_state(state, done, optimizer.state())
                kept_s = log.elapsed_s
    if accelerator.is_main_process:
        _average_in(model, start, config.start_share)
        save_adapter(model, adapter)
    accelerator.wait_for_everyone()
    return adapter


def _model(config: SftConfig) -> PeftModel:
    base = load_base(config.model)
    if config.adapter is None:
        return with_new_adapter(base, config.lora)
    return with_adapter(base, config.adapter, trainable=True)


def _trained(model: PeftModel) -> dict[str, torch.Tensor]:
    """Return a copy of the weights under training."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def _average_in(model: PeftModel, start: Mapping[str, torch.Tensor], share: float) -> None:
    """Average what the run began with into the model (Wortsman et al. 2022, arXiv 2109.01903).

    An adapter that goes on learning from new material forgets some of the old; on the way back to its start it keeps
    most of what it gained.
    """
    with torch.no_grad():
        for name, began in start.items():
            weight = model.get_parameter(name)
            weight.copy_(share * began.float() + (1 - share) * weight.float())


def _prepare(config: SftConfig, renderer: ScoringPromptRenderer) -> _Run:
    """Return the run's batches and weights, and its configuration with the digests of its data."""
    rng = random.Random(config.seed)  # noqa: S311 - reproducible order, no secret
    rows = [row for source in config.sources for row in scheduled_rows(read_rows(source), source, rng)]
    examples = [to_example(row, renderer) for row in rows]
    batches = plan_batches(
        examples, batch_replies=config.batch_replies, replies_per_context=config.replies_per_context, rng=rng
    )
    resolved = config.model_dump(mode="json") | {"data_sha256": input_digests(config.sources, config.adapter)}
    _log.info("%d replies in %d steps", len(examples), len(batches))
    return _Run(
        config=config,
        batches=batches,
        weights=label_weights(examples, config.loss.rarity),
        verdicts=soft_labels(target_tensor(examples)[0]),
        resolved=json.dumps(resolved, indent=2, sort_keys=True),
    )


def _backward(judge: JudgeModel, run: _Run, step: int, accelerator: Accelerator) -> tuple[float, int]:
    """Add up the gradients of one batch over its parts and processes; return its mean loss and its tokens."""
    batch = run.batches[step]
    parts = split_for_memory(batch, run.config.tokens_per_forward)
    forced = _forced_levels(len(batch), run, step)
    level_of = {id(example): levels for example, levels in zip(batch, forced, strict=True)}
    total, tokens = torch.zeros((), device=judge.device), 0
    for part in parts[accelerator.process_index :: accelerator.num_processes]:
        levels = torch.stack([level_of[id(example)] for example in part])
        logits = judge.teacher_forced([example.path for example in part], levels)
        loss = batch_loss(logits, part, run.weights, run.config.loss) / len(batch)
        torch.autograd.backward(loss)
        total += loss.detach()
        tokens += sum(len(example.path.suffix) for example in part)
    if accelerator.num_processes > 1:
        _sum_gradients(judge, accelerator)
        total = accelerator.reduce(total, "sum")
    return float(total), tokens


def _sum_gradients(judge: JudgeModel, accelerator: Accelerator) -> None:
    for weight in judge.causal.parameters():
        if weight.requires_grad:
            grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            weight.grad = accelerator.reduce(grad, "sum")


def _forced_levels(replies: int, run: _Run, step: int) -> torch.Tensor:
    """Return verdicts to condition on that say nothing about the replies, (replies, 7); the same for the same step.

    Half are another reply's verdict, half are uniform digits. Were they the reply's own labels, six of seven digits
    could be learned by copying the ones before. So each has to be read from the text, and at serving time a near-tied
    digit that falls the other way moves no later one.
    """
    generator = torch.Generator().manual_seed(run.config.seed * 1_000_003 + step)
    others = run.verdicts[torch.randint(len(run.verdicts), (replies,), generator=generator)]
    theirs = torch.multinomial(others.flatten(0, 1), 1, generator=generator).view(replies, -1)
    uniform = torch.randint(len(LEVELS), theirs.shape, generator=generator)
    return torch.where(torch.rand(replies, 1, generator=generator) < 0.5, theirs, uniform) + 1
