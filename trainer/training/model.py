"""The model under training: a frozen base with a LoRA adapter, run over packed trees, read at the five level tokens.

The language-model head is never called: its vocabulary (262k for Gemma) would cost more than the network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel

from services.contracts.dimensions import DIMENSIONS
from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.rubric import default_rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer
from trainer.errors import DataError
from trainer.training.config import LoraSettings, ModelConfig
from trainer.training.token_tree import TokenPath, TokenTree, pack
from trainer.training.tree_attention import TREE_ATTENTION

_DTYPES: Final = {"bfloat16": torch.bfloat16, "float32": torch.float32}


Choice: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Decoded verdicts: `levels` (n, 7) from 1 to 5 and `distributions` (n, 7, 5), each given the levels before it."""

    levels: torch.Tensor
    distributions: torch.Tensor


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """A causal language model that gives seven verdicts.

    Attributes:
        causal: the whole model (with its adapter, if any).
        inner: the network below the language-model head.
        level_rows: the head's rows of the five level tokens, (5, hidden size).
        level_ids: those tokens.
    """

    causal: nn.Module
    inner: nn.Module
    level_rows: torch.Tensor
    level_ids: tuple[int, ...]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.level_rows.device

    def verdict_logits(self, paths: Sequence[TokenPath], positions: int) -> torch.Tensor:
        """Return the level logits at the last `positions` tokens of each path, (paths, positions, 5) in float32."""
        return self._run(pack(paths, self.device), positions)

    def teacher_forced(self, paths: Sequence[TokenPath], levels: torch.Tensor) -> torch.Tensor:
        """Return the logits of all seven verdicts, (paths, 7, 5), each after the `levels` (paths, 7) before it."""
        said = [[self.level_ids[level - 1] for level in row[:-1]] for row in levels.tolist()]
        whole = [TokenPath(path.prefix, (*path.suffix, *ids)) for path, ids in zip(paths, said, strict=True)]
        return self.verdict_logits(whole, len(DIMENSIONS))

    @torch.no_grad()
    def decode(self, paths: Sequence[TokenPath], choose: Choice, samples: int = 1) -> Verdicts:
        """Decode seven verdicts after each path through the key-value cache, `samples` times from each, in a row.

        Args:
            paths: the prompts.
            choose: picks levels (n) from distributions (n, 5).
            samples: continuations of each prompt.
        """
        cache = DynamicCache()
        tree = pack(paths, self.device)
        logits = self._run(tree, 1, cache)[:, 0].repeat_interleave(samples, dim=0)
        tree = tree.branched(samples)
        levels: list[torch.Tensor] = []
        distributions: list[torch.Tensor] = []
        ids = torch.tensor(self.level_ids, device=self.device)
        for _ in DIMENSIONS:
            if levels:
                tree = tree.grown(ids[levels[-1] - 1])
                logits = self._run(tree, 1, cache)[:, 0]
            distributions.append(logits.softmax(dim=-1))
            levels.append(choose(distributions[-1]))
        return Verdicts(torch.stack(levels, dim=1), torch.stack(distributions, dim=1))

    def _run(self, tree: TokenTree, positions: int, cache: DynamicCache | None = None) -> torch.Tensor:
        output = self.inner(
            input_ids=tree.input_ids,
            position_ids=tree.position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
            token_tree=tree,
        )
        hidden = output.last_hidden_state[0, tree.last_tokens(positions)]
        logits: torch.Tensor = (hidden @ self.level_rows.T).float()
        return logits


def most_likely(distributions: torch.Tensor) -> torch.Tensor:
    """Return the most likely levels (n) of distributions (n, 5): decoding at temperature 0, as the judge is served."""
    return distributions.argmax(dim=-1) + 1


def load_renderer(config: ModelConfig) -> ScoringPromptRenderer:
    """Return the renderer of scoring prompts for the base model, as the judge uses it."""
    tokenizer = PromptTokenizer.from_folder(config.base)
    return ScoringPromptRenderer(tokenizer, default_rubric(), PromptTemplate(), window_tokens=config.window_tokens)


def load_base(config: ModelConfig) -> PreTrainedModel:
    """Return the base model, frozen, on this process's device; DataError if the folder holds none."""
    try:
        base = AutoModelForCausalLM.from_pretrained(
            config.base, dtype=_DTYPES[config.dtype], attn_implementation=TREE_ATTENTION, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{config.base}: not a model folder that transformers can read: {error}") from error
    base.requires_grad_(False)
    if config.gradient_checkpointing:  # takes effect in training mode alone
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return base


def with_new_adapter(base: PreTrainedModel, lora: LoraSettings) -> PeftModel:
    """Return the base with a fresh adapter, which changes nothing before it is trained."""
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.targets),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, settings, autocast_adapter_dtype=False)


def with_adapter(
    base: PreTrainedModel, folder: Path, *, trainable: bool = False, full_precision: bool = False
) -> PeftModel:
    """Return the base with the adapter in `folder`, its weights in float32 if asked for; DataError if it holds none."""
    try:
        return PeftModel.from_pretrained(base, folder, is_trainable=trainable, autocast_adapter_dtype=full_precision)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: not an adapter for this base model: {error}") from error


def fuse_layers(model: nn.Module) -> None:
    """Compile norms and feed-forward blocks, whose many element-wise steps cost a CPU as much as the products."""
    for name, module in model.named_modules():
        if name.endswith(("norm", ".mlp")):
            module.compile(dynamic=True)


def judge_model(causal: PreTrainedModel | PeftModel, level_ids: tuple[int, ...], device: torch.device) -> JudgeModel:
    """Return the model as a judge, on `device`."""
    causal.to(device)
    base = causal.get_base_model() if isinstance(causal, PeftModel) else causal
    rows = base.get_output_embeddings().weight[list(level_ids)].detach()
    return JudgeModel(causal, base.get_decoder(), rows, level_ids)
