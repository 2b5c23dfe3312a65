"""One role's adapter: LoRA on the completion tokens alone, from examples on disk to an adapter folder.

A step is a function of configuration, data and its number; a run that is killed and continued gives the same weights.
Packing, optimizer, checkpoints and progress are the judge's.
"""

import hashlib
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from accelerate.utils import set_seed
from peft import PeftModel
from torch import nn

from services.roles.prompts import Role
from services.rubric.tokenizer import PromptTokenizer
from trainer.data.identity import file_sha256
from trainer.errors import DataError, TrainingConfigError
from trainer.roles.config import RolesConfig
from trainer.roles.examples import read_examples
from trainer.roles.loss import Vocabulary, summed_cross_entropy
from trainer.roles.tokens import TokenExample, plan_steps, split_for_memory, to_tokens
from trainer.training.checkpointing import Progress, disk_full_explained, load_state, memory_explained, save_state
from trainer.training.model import fuse_layers, load_base, with_new_adapter
from trainer.training.optimizer import MasterAdamW
from trainer.training.progress import ProgressLog
from trainer.training.token_tree import pack

_log = logging.getLogger(__name__)
CONFIG_FILE: Final = "config.json"
_MEMORY: Final = "tokens_per_forward, logits_per_chunk or batch_examples"


@dataclass(frozen=True, slots=True)
class _Run:
    """A role's run: its steps, every token that they write, and what a checkpoint must agree with."""

    steps: list[list[TokenExample]]
    written: torch.Tensor
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Speaker:
    """A causal language model under training: the network below its head, and the head."""

    inner: nn.Module
    head: torch.Tensor

    def vocabulary(self, written: torch.Tensor, others: int, seed: int) -> Vocabulary:
        """Return the tokens that one step looks at."""
        drawn = Vocabulary.sampled(written, self.head.shape[0], others, seed)
        return replace(drawn, ids=drawn.ids.to(self.head.device), weights=drawn.weights.to(self.head.device))

    def loss(self, part: Sequence[TokenExample], vocabulary: Vocabulary, positions_per_chunk: int) -> torch.Tensor:
        """Return the summed cross entropy of the completions."""
        tree = pack([example.path for example in part], self.head.device)
        output = self.inner(input_ids=tree.input_ids, position_ids=tree.position_ids, use_cache=False, token_tree=tree)
        places = torch.cat([torch.arange(leaf.start, leaf.end, device=self.head.device) for leaf in tree.leaves])
        targets = torch.tensor([token for example in part for token in example.targets], device=self.head.device)
        hidden = output.last_hidden_state[0, places]
        return summed_cross_entropy(hidden, self.head, vocabulary, targets, positions_per_chunk)


def train_role(config: RolesConfig, role: Role, examples: Path, out: Path, *, max_steps: int | None = None) -> Path:
    """Train one adapter, continuing what is in `out`; return its folder.

    Args:
        config: the configuration.
        role: whose adapter.
        examples: the role's examples.
        out: the run's folder.
        max_steps: stop after so many steps of the run (a trial of its speed); the run can be continued.

    Raises:
        TrainerError: data, configuration or checkpoint cannot be used, or memory or disk is full.
    """
    set_seed(config.seed)
    settings = config.roles[role]
    run = _prepare(config, role, examples, out)
    model = with_new_adapter(load_base(config.model), config.lora)
    if config.model.compile:
        fuse_layers(model)
    speaker = _speaker(model, config.model.base)
    optimizer = MasterAdamW(model, settings.optimizer, len(run.steps))
    state, adapter = out / "checkpoint", out / "adapter"
    first, spent = 0, 0.0
    if (saved := load_state(state, run.fingerprint)) is not None:
        progress, tensors = saved
        optimizer.restore(tensors)
        first, spent = progress.step, progress.elapsed_s
        _log.info("%s: continuing after step %d of %d", role, first, len(run.steps))
    log = ProgressLog(out / "progress.jsonl", len(run.steps), config.log_every_s, spent)
    kept_s = log.elapsed_s
    last = len(run.steps) if max_steps is None else min(max_steps, len(run.steps))
    model.train()
    for step in range(first, last):
        vocabulary = speaker.vocabulary(run.written, config.vocabulary_sample, config.seed + step)
        with memory_explained(_MEMORY):
            loss, tokens = _backward(speaker, run.steps[step], vocabulary, config)
        norm = optimizer.step(step)
        rate, replies = optimizer.learning_rate(step), len(run.steps[step])
        log.step(step + 1, loss=loss, grad_norm=norm, rate=rate, tokens=tokens, replies=replies)
        if log.elapsed_s - kept_s >= config.checkpoint_every_s or step + 1 == last:
            done = Progress(step=step + 1, elapsed_s=log.elapsed_s, fingerprint=run.fingerprint)
            save_state(state, done, optimizer.state())
            kept_s = log.elapsed_s
    if last == len(run.steps):
        with disk_full_explained(adapter):
            model.save_pretrained(adapter, save_embedding_layers=False)
    return adapter


def _prepare(config: RolesConfig, role: Role, examples: Path, out: Path) -> _Run:
    """Return the run's steps, and record configuration and data digest in `out`."""
    settings = config.roles[role]
    tokenizer = PromptTokenizer.from_folder(config.model.base)
    end_id = _end_id(config.model.base)
    tokenised = [to_tokens(item, tokenizer, end_id) for item in read_examples(examples)]
    window = config.model.window_tokens
    fit = [
        item
        for item in tokenised
        if len(item.targets) <= settings.completion_tokens and len(item.path.prefix) + len(item.path.suffix) < window
    ]
    if not fit:
        raise DataError(f"{examples}: holds no example that fits; lower shares or raise completion_tokens")
    rng = random.Random(config.seed)  # noqa: S311 - reproducible order, no secret
    steps = plan_steps(fit, settings, batch=config.batch_examples, together=config.examples_per_question, rng=rng)
    resolved = {
        "role": role.value,
        "seed": config.seed,
        "model": config.model.model_dump(mode="json"),
        "lora": config.lora.model_dump(mode="json"),
        "run": settings.model_dump(mode="json"),
        "data": config.data.model_dump(mode="json"),
        "batch_examples": config.batch_examples,
        "examples_per_question": config.examples_per_question,
        "vocabulary_sample": config.vocabulary_sample,
        "examples": len(fit),
        "examples_too_long": len(tokenised) - len(fit),
        "steps": len(steps),
        "data_sha256": file_sha256(examples),
    }
    text = json.dumps(resolved, indent=2, sort_keys=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    _log.info("%s: %d examples in %d steps, %d too long", role, len(fit), len(steps), len(tokenised) - len(fit))
    written = torch.tensor(sorted({token for item in fit for token in item.targets}))
    return _Run(steps, written, hashlib.sha256(text.encode()).hexdigest())


def _end_id(base: Path) -> int:
    """Return the token with which the base model ends a text, as the engine reads it."""
    for name in ("generation_config.json", "config.json"):
        file = base / name
        found = json.loads(file.read_bytes()).get("eos_token_id") if file.is_file() else None
        if found is not None:
            return int(found[0] if isinstance(found, list) else found)
    raise DataError(f"{base}: names no eos_token_id; a role could not learn to end")


def _speaker(model: PeftModel, base: Path) -> _Speaker:
    causal = model.get_base_model()
    if getattr(causal.config, "final_logit_softcapping", None):
        raise TrainingConfigError(f"{base}: caps its logits, which role training does not do; choose another base")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    return _Speaker(causal.get_decoder(), causal.get_output_embeddings().weight.detach())


def _backward(
    speaker: _Speaker, batch: Sequence[TokenExample], vocabulary: Vocabulary, config: RolesConfig
) -> tuple[float, int]:
    """Add up the gradients of one batch; return its mean loss a completion token, and its tokens."""
    learned = sum(len(example.targets) for example in batch)
    total, tokens = 0.0, 0
    for part in split_for_memory(batch, config.tokens_per_forward):
        loss = speaker.loss(part, vocabulary, config.logits_per_chunk) / learned
        torch.autograd.backward(loss)
        total += float(loss.detach())
        tokens += sum(len(example.path.prefix) + len(example.path.suffix) for example in part)
    return total, tokens
