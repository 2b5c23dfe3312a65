"""LoRA adapters with random weights for the embedded model, in the layout that PEFT writes and vLLM loads."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

_PROJECTIONS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.down_proj")


def write_random_adapter(folder: Path, model_folder: Path, *, seed: int, rank: int = 8, scale: float = 0.05) -> Path:
    """Write an adapter to `folder` that visibly changes what the model in `model_folder` says."""
    config = json.loads((model_folder / "config.json").read_text())
    hidden, mlp, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    sizes = {  # projection: (inputs, outputs)
        "self_attn.q_proj": (hidden, config["num_attention_heads"] * head),
        "self_attn.v_proj": (hidden, config["num_key_value_heads"] * head),
        "mlp.gate_proj": (hidden, mlp),
        "mlp.down_proj": (mlp, hidden),
    }
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(config["num_hidden_layers"]):
        for projection in _PROJECTIONS:
            prefix = f"base_model.model.model.layers.{layer}.{projection}"
            inputs, outputs = sizes[projection]
            weights[f"{prefix}.lora_A.weight"] = torch.randn(rank, inputs, generator=generator) * scale
            weights[f"{prefix}.lora_B.weight"] = torch.randn(outputs, rank, generator=generator) * scale
    folder.mkdir(parents=True)
    save_file(
        {name: weight.to(torch.bfloat16) for name, weight in weights.items()}, folder / "adapter_model.safetensors"
    )
    adapter = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted({projection.split(".")[1] for projection in _PROJECTIONS}),
    }
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    return folder
