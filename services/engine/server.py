"""vLLM's own OpenAI-compatible server: its command line, its environment, and when it is ready.

The same configuration drives a CPU and a GPU; only the memory settings differ. This module builds what a supervisor or a
container runs. It imports no vLLM: the engine is another process.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from services.engine.errors import EngineStartError

CPU_LORA_PLUGIN = "theraloop_cpu_lora"
_POLL_INTERVAL_S = 0.5
_PROBE_TIMEOUT_S = 5.0


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
    kv_cache_gib: int = 1
    """CPU only: memory for keys and values. One GiB holds some 58,000 tokens of the embedded model."""
    gpu_memory_fraction: float = 0.9
    """GPU only: share of the device's memory that vLLM takes."""
    max_adapters: int = 8
    """LoRA slots: the active judge, one in canary or shadow, one draining, and the agent's three roles, with two spare."""
    max_adapter_rank: int = 16
    """Adapters are padded to this rank, and pay for it. The trainer's default is 16."""

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"


def engine_command(config: EngineConfig, python: str = sys.executable) -> list[str]:
    """Return the argument vector that serves `config`; the `vllm` script is not used, as CPU builds ship it broken."""
    command = [python, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(config.model_path), "--served-model-name", config.served_name]
    command += ["--host", config.host, "--port", str(config.port)]
    command += ["--max-model-len", str(config.window_tokens), "--dtype", "bfloat16"]
    command += ["--enable-prefix-caching"]
    command += ["--enable-lora", "--max-loras", str(config.max_adapters), "--max-cpu-loras", str(config.max_adapters)]
    command += ["--max-lora-rank", str(config.max_adapter_rank)]
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
        "VLLM_PLUGINS": CPU_LORA_PLUGIN,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if config.device == "cpu":
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(config.kv_cache_gib)
    return environment


async def wait_until_ready(base_url: str, *, timeout_s: float, is_alive: Callable[[], bool]) -> None:
    """Return when `GET {base_url}/health` answers 200.

    Args:
        base_url: where the server will listen.
        timeout_s: how long to wait in all.
        is_alive: False once the process has ended, so that a crash is reported at once and not at the time limit.

    Raises:
        EngineStartError: the process ended or the time is up.
    """
    try:
        async with asyncio.timeout(timeout_s), httpx.AsyncClient(timeout=_PROBE_TIMEOUT_S) as client:
            while not await _healthy(client, base_url):
                if not is_alive():
                    raise EngineStartError("the engine ended before it was ready: its log above says why")
                await asyncio.sleep(_POLL_INTERVAL_S)
    except TimeoutError as error:
        raise EngineStartError(f"the engine was not ready within {timeout_s:.0f} s") from error


async def _healthy(client: httpx.AsyncClient, base_url: str) -> bool:
    try:
        return (await client.get(f"{base_url}/health")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
