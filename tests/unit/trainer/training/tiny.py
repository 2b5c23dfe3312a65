"""Random models of some thousand weights, with the shapes that matter: sliding windows, grouped keys, untied heads."""

from pathlib import Path
from typing import Any

import torch
from transformers import Gemma3TextConfig, LlamaConfig, PreTrainedModel, Qwen2Config
from transformers.models.gemma3 import Gemma3ForCausalLM
from transformers.models.llama import LlamaForCausalLM
from transformers.models.qwen2 import Qwen2ForCausalLM

from tests.support.tiny_tokenizer import write_tiny_tokenizer

WINDOW = 16
VOCABULARY = 400
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "initializer_range": 0.2,
}


def gemma(**settings: Any) -> PreTrainedModel:
    """Return a Gemma 3 whose first two layers see `WINDOW` tokens back, the third all."""
    config = Gemma3TextConfig(
        **_SHAPE,
        head_dim=8,
        sliding_window=WINDOW,
        query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        **settings,
    )
    return _seeded(Gemma3ForCausalLM, config)


def llama(**settings: Any) -> PreTrainedModel:
    """Return a Llama with an untied head."""
    return _seeded(LlamaForCausalLM, LlamaConfig(**_SHAPE, tie_word_embeddings=False, **settings))


def qwen(**settings: Any) -> PreTrainedModel:
    """Return a Qwen2."""
    return _seeded(Qwen2ForCausalLM, Qwen2Config(**_SHAPE, **settings))


def _seeded(kind: type[PreTrainedModel], config: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    return kind(config).float()


def save_model_folder(folder: Path) -> Path:
    """Write a tiny Gemma 3 and a byte-level tokenizer as a base model's folder."""
    gemma().save_pretrained(folder)
    return write_tiny_tokenizer(folder)
