"""A real vLLM server on the embedded model does what the judge relies on.

Tolerance: batching may change the order of bfloat16 sums. On the machine where this was written a request's digits had
exactly the same log-probabilities alone and in a batch; another adapter, or none, moved them by 0.86 to 2.35.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from tokenizers import Tokenizer

from tests.support.random_adapter import write_random_adapter
from tests.support.real_parts import RealEngine

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

BATCHING_TOLERANCE = 0.05
SLOTS = 8
SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not seem to mind at all."


@pytest.fixture
async def client(engine: RealEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=engine.base_url, timeout=300) as client:
        yield client


@pytest.fixture(scope="session")
def tokenizer(engine: RealEngine) -> Tokenizer:
    return Tokenizer.from_file(str(engine.model.path / "tokenizer.json"))


async def digit_logprobs(client: httpx.AsyncClient, tokenizer: Tokenizer, model: str, text: str) -> dict[str, float]:
    digits = [tokenizer.token_to_id(str(digit)) for digit in range(1, 6)]
    body = {
        "model": model,
        "prompt": tokenizer.encode(text).ids,
        "allowed_token_ids": digits,
        "max_tokens": 1,
        "logprobs": 5,
        "temperature": 0,
    }
    response = await client.post("/v1/completions", json=body)
    response.raise_for_status()
    return dict(response.json()["choices"][0]["logprobs"]["top_logprobs"][0])


def largest_difference(first: dict[str, float], second: dict[str, float]) -> float:
    assert first.keys() == second.keys()
    return max(abs(first[digit] - second[digit]) for digit in first)


async def test_the_probabilities_are_those_of_the_five_digits_and_sum_to_one(
    engine: RealEngine, client: httpx.AsyncClient, tokenizer: Tokenizer
) -> None:
    logprobs = await digit_logprobs(client, tokenizer, engine.model.name, "On a scale from 1 to 5, this is a")
    assert set(logprobs) == {"1", "2", "3", "4", "5"}
    assert math.fsum(math.exp(value) for value in logprobs.values()) == pytest.approx(1.0, abs=1e-3)


async def test_the_converted_model_finds_plain_english_likely(
    engine: RealEngine, client: httpx.AsyncClient, tokenizer: Tokenizer
) -> None:
    ids = tokenizer.encode(SENTENCE).ids
    body = {"model": engine.model.name, "prompt": ids, "max_tokens": 1, "prompt_logprobs": 0}
    response = await client.post("/v1/completions", json=body)
    response.raise_for_status()
    steps = response.json()["choices"][0]["prompt_logprobs"][1:]
    logprobs = [step[str(token)]["logprob"] for token, step in zip(ids[1:], steps, strict=True)]
    # Without the beginning-of-text token it is in the hundreds.
    assert math.exp(-math.fsum(logprobs) / len(logprobs)) < 30


async def test_each_request_in_a_mixed_batch_gets_its_own_adapter_and_base_requests_get_none(
    engine: RealEngine, client: httpx.AsyncClient, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    names = [f"random-{tmp_path.name}-{seed}" for seed in range(SLOTS)]
    models = [engine.model.name, *names]
    text = SENTENCE + " How good is this on a scale from 1 to 5?"
    alone_base = await digit_logprobs(client, tokenizer, engine.model.name, text)
    async with AsyncExitStack() as loaded:
        for seed, name in enumerate(names):
            folder = write_random_adapter(tmp_path / name, engine.model.path, seed=seed)
            response = await client.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(folder)})
            response.raise_for_status()
            loaded.push_async_callback(client.post, "/v1/unload_lora_adapter", json={"lora_name": name})
        alone = [await digit_logprobs(client, tokenizer, name, text) for name in names]
        mixed = await asyncio.gather(*(digit_logprobs(client, tokenizer, model, text) for model in models * 2))
    for result, reference in zip(mixed, [alone_base, *alone] * 2, strict=True):
        assert largest_difference(result, reference) < BATCHING_TOLERANCE
    assert min(largest_difference(adapted, alone_base) for adapted in alone) > 10 * BATCHING_TOLERANCE
