"""The client on a real vLLM server: the port's contract, seeds, refusals, deadlines and adapters."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from tokenizers import Tokenizer

from services.deadline import Deadline
from services.errors import Conflict, DeadlineExceeded, EngineMalformed, EngineUnavailable, InvalidInput, NotFound
from services.llm.port import CompletionRequest
from services.llm.vllm import VLLMClient
from services.settings import EngineSettings
from services.telemetry.metrics import PlatformMetrics
from tests.contracts.llm import PATIENCE_S, LLMContract
from tests.support.random_adapter import write_random_adapter
from tests.support.real_parts import RealEngine

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

STEP_TOKENS = 1024
"""What the engine reads in one step (`--max-num-batched-tokens`)."""


@pytest.fixture
async def llm(engine: RealEngine) -> AsyncIterator[VLLMClient]:
    """Return the client on the session's engine."""
    async with httpx.AsyncClient() as http:
        settings = EngineSettings.model_validate({"url": engine.base_url})
        yield VLLMClient(settings, http, PlatformMetrics(CollectorRegistry()))


@pytest.fixture
async def model(llm: VLLMClient) -> str:
    """Return the base model's name."""
    return (await llm.models(_soon()))[0]


@pytest.fixture(scope="session")
def allowed(engine: RealEngine) -> tuple[int, ...]:
    """Return the five digits' token ids."""
    tokenizer = Tokenizer.from_file(str(engine.model.path / "tokenizer.json"))
    return tuple(tokenizer.encode(str(digit), add_special_tokens=False).ids[0] for digit in range(1, 6))


class TestVLLMClient(LLMContract):
    """The contract."""


def _soon() -> Deadline:
    return Deadline.after(PATIENCE_S)


def _story(model: str, **changes: object) -> CompletionRequest:
    fields: dict[str, object] = {"kind": "therapist", "model": model, "prompt": "Once upon a time", "max_tokens": 12}
    fields |= {"temperature": 1.0, "n": 3, "seed": 7}
    return CompletionRequest(**(fields | changes))  # type: ignore[arg-type]


async def test_a_seed_repeats_its_answers_and_candidates_differ(llm: VLLMClient, model: str) -> None:
    first, again = [await llm.complete(_story(model), _soon()) for _ in range(2)]
    other = await llm.complete(_story(model, seed=8), _soon())
    texts = [choice.text for choice in first.choices]
    assert texts == [choice.text for choice in again.choices]
    assert texts != [choice.text for choice in other.choices]
    assert len(set(texts)) == 3


async def test_a_stop_string_ends_the_text_before_it(llm: VLLMClient, model: str) -> None:
    whole = (await llm.complete(_story(model, n=1, temperature=0.0), _soon())).choices[0].text
    stop = whole.split()[3]
    stopped = (await llm.complete(_story(model, n=1, temperature=0.0, stop=(stop,)), _soon())).choices[0]
    assert (stopped.text, stopped.finish_reason) == (whole[: whole.index(stop)], "stop")


async def test_a_prompt_above_the_window_is_the_callers_error(
    llm: VLLMClient, model: str, allowed: tuple[int, ...]
) -> None:
    request = CompletionRequest(kind="verdict", model=model, prompt_ids=allowed * 2000, max_tokens=1)
    with pytest.raises(InvalidInput, match="window"):
        await llm.complete(request, _soon())


async def test_a_token_that_the_model_has_not_is_our_error(llm: VLLMClient, model: str) -> None:
    with pytest.raises(EngineMalformed):
        await llm.complete(CompletionRequest(kind="verdict", model=model, prompt_ids=(10**7,), max_tokens=1), _soon())


async def test_a_model_that_is_not_served_is_unavailable(llm: VLLMClient) -> None:
    with pytest.raises(EngineUnavailable):
        await llm.complete(_story("no-such-model"), _soon())


async def test_a_long_answer_is_ended_at_the_deadline_and_the_engine_goes_on(llm: VLLMClient, model: str) -> None:
    with pytest.raises(DeadlineExceeded):
        await llm.complete(_story(model, n=1, max_tokens=1900, temperature=0.0), Deadline.after(0.3))
    await llm.complete(_story(model, n=1, max_tokens=1), _soon())


async def test_an_adapter_is_loaded_served_refused_twice_and_unloaded(
    llm: VLLMClient, engine: RealEngine, allowed: tuple[int, ...], tmp_path: Path
) -> None:
    folder = write_random_adapter(tmp_path / "adapter", engine.model.path, seed=1)
    name = f"test-{uuid.uuid4().hex}"
    await llm.load_adapter(name, str(folder), _soon())
    try:
        assert name in await llm.models(_soon())
        with pytest.raises(Conflict):
            await llm.load_adapter(name, str(folder), _soon())
        request = CompletionRequest(
            kind="verdict", model=name, prompt_ids=allowed, max_tokens=7, allowed_token_ids=allowed, logprobs=5
        )
        results = await asyncio.gather(*(llm.complete(request, _soon()) for _ in range(3)))
        assert {len(result.choices[0].token_ids) for result in results} == {7}
    finally:
        await llm.unload_adapter(name, _soon())
    assert name not in await llm.models(_soon())
    with pytest.raises(NotFound):
        await llm.unload_adapter(name, _soon())


async def test_a_folder_that_is_no_adapter_is_refused(llm: VLLMClient, tmp_path: Path) -> None:
    with pytest.raises((NotFound, EngineMalformed)):
        await llm.load_adapter(f"test-{uuid.uuid4().hex}", str(tmp_path), _soon())


async def test_it_is_healthy(llm: VLLMClient) -> None:
    await llm.check(_soon())


@pytest.mark.parametrize("seed", [7, 11, 13])
async def test_a_seed_gives_the_same_answer_however_its_prompt_was_read(llm: VLLMClient, model: str, seed: int) -> None:
    """A prompt beyond the tokens of one step is read in parts; the second time its beginning is in the prefix cache."""
    prompt = f"{uuid.uuid4()} " + "It rained all day and nobody called. " * 170 + "In the evening"
    request = CompletionRequest(
        kind="therapist", model=model, prompt=prompt, max_tokens=2, temperature=0.9, top_p=0.95, seed=seed
    )
    first = await llm.complete(request, _soon())
    assert first.usage.prompt_tokens > STEP_TOKENS
    again = await llm.complete(request, _soon())
    assert again.choices[0].text == first.choices[0].text
