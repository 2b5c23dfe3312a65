"""vLLM's own OpenAI-compatible server: its command line and its environment.

The same configuration drives a CPU and a GPU; only the memory settings differ. This module builds what a supervisor or
a container runs. It imports no vLLM: the engine is another process.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

CPU_PLUGINS = ("theraloop_cpu_lora", "theraloop_cpu_seeds")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What one engine process serves and how much it may use."""

    model_path: Path
    """The local model folder, as `provision` returns it."""
    served_name: str
    """The name under which requests address the base model."""
    host: str = "127.0.0.1"
    """Bind address. The engine has no authentication and loads adapters on request: never bind it publicly."""
    port: int = 8100
    device: Literal["cpu", "gpu"] = "cpu"
    window_tokens: int = 2048
    """Prompt and completion together."""
    step_tokens: int = 1024
    """Most tokens in one forward pass. On a CPU a long pass holds up everyone who comes after it began."""
    kv_cache_gib: int = 1
    """CPU only: memory for keys and values. One GiB holds some 58,000 tokens of the embedded model."""
    gpu_memory_fraction: float = 0.9
    """GPU only: share of the device's memory that vLLM takes."""
    max_adapters: int = 8
    """LoRA slots: the active judge, one in canary or shadow, one draining, and the agent's three roles, with two
    spare."""
    adapters: Mapping[str, Path] = field(default_factory=dict)
    """Adapter folders to serve from the start, by the names that requests use."""
    max_adapter_rank: int = 16
    """Adapters are padded to this rank, and pay for it. The trainer's default is 16."""

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def health_url(self) -> str:
        return f"{self.base_url}/health"


def engine_command(config: EngineConfig, python: str = sys.executable) -> list[str]:
    """Return the argument vector that serves `config`; the `vllm` script is not used, as CPU builds ship it broken."""
    command = [python, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(config.model_path), "--served-model-name", config.served_name]
    command += ["--host", config.host, "--port", str(config.port)]
    command += ["--max-model-len", str(config.window_tokens), "--dtype", "bfloat16"]
    command += ["--max-num-batched-tokens", str(config.step_tokens)]
    command += ["--enable-prefix-caching"]
    # Golden cases that are asked again while the judge serves go behind live requests, which all have one priority.
    command += ["--scheduling-policy", "priority"]
    command += ["--enable-lora", "--max-loras", str(config.max_adapters), "--max-cpu-loras", str(config.max_adapters)]
    command += ["--max-lora-rank", str(config.max_adapter_rank)]
    if config.adapters:
        command += ["--lora-modules", *(f"{name}={path}" for name, path in config.adapters.items())]
    # Probabilities after the allowed-token mask: exactly the five digits, summing to one.
    command += ["--logprobs-mode", "processed_logprobs"]
    # A model's own generation defaults (top-k, repetition penalty) would bend those probabilities.
    command += ["--generation-config", "vllm"]
    command += ["--disable-uvicorn-access-log"]
    if config.device == "gpu":
        command += ["--gpu-memory-utilization", str(config.gpu_memory_fraction)]
    return command


def engine_environment(config: EngineConfig) -> dict[str, str]:
    """Return the variables to set on top of the inherited environment."""
    environment = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_PLUGINS": ",".join(CPU_PLUGINS),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if config.device == "cpu":
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(config.kv_cache_gib)
        # vLLM compiles one small function of its sampler, at the first request: that would need a C++ compiler.
        environment["TORCHDYNAMO_DISABLE"] = "1"
    return environment
