"""The engine's command line and environment follow the configuration."""

from pathlib import Path

import pytest

from services.engine.server import CPU_PLUGINS, EngineConfig, engine_command, engine_environment


def config(**changes: object) -> EngineConfig:
    return EngineConfig(model_path=Path("/models/m"), served_name="m", **changes)  # type: ignore[arg-type]


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--model", "/models/m"),
        ("--served-model-name", "m"),
        ("--host", "127.0.0.1"),
        ("--port", "9000"),
        ("--max-model-len", "4096"),
        ("--scheduling-policy", "priority"),
        ("--max-loras", "3"),
        ("--max-cpu-loras", "3"),
        ("--max-lora-rank", "32"),
        ("--logprobs-mode", "processed_logprobs"),
        ("--generation-config", "vllm"),
    ],
)
def test_the_command_carries_the_setting(name: str, value: str) -> None:
    command = engine_command(config(port=9000, window_tokens=4096, max_adapters=3, max_adapter_rank=32))
    assert option(command, name) == value


def test_the_server_runs_as_a_module_of_the_given_interpreter() -> None:
    assert engine_command(config(), python="/usr/bin/python3")[:3] == [
        "/usr/bin/python3",
        "-m",
        "vllm.entrypoints.openai.api_server",
    ]


def test_cpu_memory_is_set_by_environment_and_gpu_memory_by_option() -> None:
    cpu, gpu = config(kv_cache_gib=2), config(device="gpu", gpu_memory_fraction=0.5)
    assert engine_environment(cpu)["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert engine_environment(cpu)["TORCHDYNAMO_DISABLE"] == "1"
    assert "--gpu-memory-utilization" not in engine_command(cpu)
    assert "VLLM_CPU_KVCACHE_SPACE" not in engine_environment(gpu)
    assert option(engine_command(gpu), "--gpu-memory-utilization") == "0.5"


def test_the_environment_loads_our_plugins_and_keeps_the_engine_offline_and_silent() -> None:
    environment = engine_environment(config())
    assert environment["VLLM_PLUGINS"].split(",") == list(CPU_PLUGINS)
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["VLLM_NO_USAGE_STATS"] == "1"
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_the_plugins_that_the_environment_names_are_installed() -> None:
    from importlib.metadata import entry_points

    assert set(CPU_PLUGINS) <= entry_points(group="vllm.general_plugins").names
