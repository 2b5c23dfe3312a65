"""What the benchmarks share: where the stack is, prompts, requests to the bare engine, clocks, and how figures show.

Prompts are replies of the project's own (`trainer/material`), rendered by the renderer that judge and trainer use.
Each benchmark compares within one run, round by round; figures of several rounds show as median (lowest to highest).
"""

import asyncio
import json
import os
import platform
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Final, Generic, NoReturn, TypeVar

import httpx
import psutil
import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from services.contracts.conversation import Context, Turn, turns_of
from services.llm.port import CompletionRequest, CompletionResult
from services.llm.wire import body_of, path_of, result_of
from services.rubric.prompt import VERDICT_TOKENS, ScoringPromptRenderer
from services.rubric.rubric import default_rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer
from services.stack.config import Ports, default_state_dir
from services.stack.state import read_state

MATERIAL: Final = Path(__file__).parent.parent / "trainer" / "material"
Answer = TypeVar("Answer")
EngineUrl = Annotated[str | None, typer.Option("--engine", help="vLLM's server; none: the running stack's.")]
JudgeUrl = Annotated[str | None, typer.Option("--judge", help="The judge's API; none: the running stack's.")]
AgentUrl = Annotated[str | None, typer.Option("--agent", help="The agent's API; none: the running stack's.")]
AdapterFolder = Annotated[
    Path | None,
    typer.Option("--adapter", help="A checkpoint's folder, loaded for the run.", exists=True, resolve_path=True),
]


@dataclass(frozen=True)
class Reply:
    """One reply to judge, with the conversation that it answers."""

    turns: tuple[Turn, ...]
    text: str

    def fresh(self) -> "Reply":
        """Return the same with a random word before the conversation, so that no cache knows any of it."""
        first, *later = self.turns
        marked = first.model_copy(update={"content": f"{secrets.token_hex(4)}\n{first.content}"})
        return Reply((marked, *later), self.text)

    def body(self) -> dict[str, object]:
        """Return the body of `POST /evaluate`."""
        return {"context": [turn.model_dump() for turn in self.turns], "response": self.text}


def material(count: int, *, kinds: str = "*", seed: int = 0) -> list[Reply]:
    """Return `count` of the project's replies, drawn from the files whose names match `kinds`."""
    context: TypeAdapter[str | tuple[Turn, ...]] = TypeAdapter(Context)
    replies = []
    for file in sorted(MATERIAL.glob(f"*/{kinds}.jsonl")):
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            turns = turns_of(context.validate_python(row["context"], strict=False))
            replies += [Reply(turns, row[key]) for key in ("response", "better", "worse") if key in row]
    return random.Random(seed).sample(replies, count)


def running(name: str, url: str | None) -> str:
    """Return the base URL of `engine`, `judge` or `agent`: as given, else the running stack's, else the default."""
    if url is None and (stack := read_state(default_state_dir())) is not None:
        url = str(getattr(stack, f"{name}_url"))
    return (url or f"http://127.0.0.1:{getattr(Ports(), name)}").rstrip("/")


def unusable(what: str) -> NoReturn:
    """End the benchmark with one line."""
    sys.exit(f"{Path(sys.argv[0]).name}: {what}")


@asynccontextmanager
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    """Hold a client without proxies or time limits; a part that does not answer ends the benchmark with one line."""
    try:
        async with httpx.AsyncClient(timeout=httpx.Timeout(600.0, connect=5.0), trust_env=False) as http:
            yield http
    except httpx.TransportError as error:
        unusable(f"{error.request.url} does not answer ({error!r}); start the stack with `make up`")


def answered(response: httpx.Response) -> httpx.Response:
    """Return the response; end the benchmark when it is a refusal, which would spoil the figures."""
    if response.is_error:
        unusable(f"{response.request.url} answered {response.status_code}: {response.text[:300]}")
    return response


@dataclass(frozen=True)
class Engine:
    """vLLM's server, asked without any service in between."""

    http: httpx.AsyncClient
    url: str
    base: str
    folder: Path
    vllm: str
    renderer: ScoringPromptRenderer

    @classmethod
    async def connect(cls, http: httpx.AsyncClient, url: str | None) -> "Engine":
        """Find out what the server serves; the model's folder must be readable here, for its tokenizer."""
        url = running("engine", url)
        model = answered(await http.get(f"{url}/v1/models")).json()["data"][0]
        folder = Path(model["root"])
        tokenizer = PromptTokenizer.from_folder(folder)
        renderer = ScoringPromptRenderer(
            tokenizer, default_rubric(), PromptTemplate(), window_tokens=model["max_model_len"]
        )
        vllm = answered(await http.get(f"{url}/version")).json()["version"]
        return cls(http, url, model["id"], folder, vllm, renderer)

    @asynccontextmanager
    async def models(self, adapter: Path | None) -> AsyncIterator[Mapping[str, str]]:
        """Yield label and served name of the base model and, while in the block, of the adapter in a folder."""
        if adapter is None:
            yield {"base": self.base}
            return
        name = f"bench-{secrets.token_hex(4)}"
        body = {"lora_name": name, "lora_path": str(adapter)}
        answered(await self.http.post(f"{self.url}/v1/load_lora_adapter", json=body))
        try:
            yield {"base": self.base, "adapter": name}
        finally:
            await self.http.post(f"{self.url}/v1/unload_lora_adapter", json={"lora_name": name})

    def verdict(self, model: str, reply: Reply, salt: str | None = None) -> CompletionRequest:
        """Return the request that the judge sends for a reply; `salt` keeps the engine's prefix cache apart."""
        levels = self.renderer.tokenizer.level_ids
        return CompletionRequest(
            kind="verdict",
            model=model,
            prompt_ids=tuple(self.renderer.render(reply.turns, reply.text).ids),
            max_tokens=VERDICT_TOKENS,
            allowed_token_ids=levels,
            logprobs=len(levels),
            cache_salt=salt,
        )

    def text(self, model: str, reply: Reply, tokens: int, salt: str | None = None) -> CompletionRequest:
        """Return a request for `tokens` tokens of text after the same prompt."""
        ids = tuple(self.renderer.render(reply.turns, reply.text).ids)
        return CompletionRequest(kind="text", model=model, prompt_ids=ids, max_tokens=tokens, cache_salt=salt)

    async def ask(self, request: CompletionRequest) -> CompletionResult:
        """Return the answer; text is written to its full length, whatever ends the model puts."""
        body = body_of(request)
        if request.allowed_token_ids is None:
            body |= {"min_tokens": request.max_tokens, "ignore_eos": True}
        response = answered(await self.http.post(self.url + path_of(request), json=body))
        return result_of(request, response.content)

    async def ask_all(self, requests: Iterable[CompletionRequest], clients: int = 1) -> "Timed[CompletionResult]":
        """Ask, `clients` at a time, and time each."""
        return await timed([partial(self.ask, request) for request in requests], clients)


@dataclass(frozen=True)
class Timed(Generic[Answer]):
    """Answers in the order of their calls, with each call's time and the time of all together."""

    answers: tuple[Answer, ...]
    latencies_ms: tuple[float, ...]
    wall_s: float

    @property
    def per_s(self) -> float:
        return len(self.answers) / self.wall_s


async def timed(calls: Sequence[Callable[[], Awaitable[Answer]]], clients: int = 1) -> Timed[Answer]:
    """Make the calls, `clients` at a time, and time them."""
    places = asyncio.Semaphore(clients)

    async def one(call: Callable[[], Awaitable[Answer]]) -> tuple[Answer, float]:
        async with places:
            began_s = time.perf_counter()
            return await call(), (time.perf_counter() - began_s) * 1e3

    began_s = time.perf_counter()
    done = await asyncio.gather(*map(one, calls))
    wall_s = time.perf_counter() - began_s
    return Timed(tuple(answer for answer, _ in done), tuple(ms for _, ms in done), wall_s)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: with few values the 95th is the largest."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Report:
    """One table for people and one JSON line for machines, with what they were measured on."""

    def __init__(self, benchmark: str) -> None:
        self._benchmark = benchmark
        self._load_before = os.getloadavg()[0]
        self._began_s = time.time()

    def show(self, rows: Sequence[Mapping[str, object]], engine: Engine | None = None, **facts: object) -> None:
        """Print the rows; every row has the columns of the first."""
        machine = {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "load_before": round(self._load_before, 1),
            "python": platform.python_version(),
            "theraloop": version("theraloop"),
            "vllm": engine.vllm if engine else None,
            "model": engine.base if engine else None,
        }
        table = Table(*rows[0], title=self._benchmark, title_justify="left")
        for row in rows:
            table.add_row(*map(_cell, row.values()))
        console = Console(width=None if sys.stdout.isatty() else 132)
        console.print(table)
        console.print(", ".join(f"{name} {value}" for name, value in (machine | facts).items()), highlight=False)
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began_s))
        record = {"benchmark": self._benchmark, "began": began, "took_s": round(time.time() - self._began_s)}
        print(json.dumps(record | {"machine": machine, **facts, "rows": rows}))


def _cell(value: object) -> str:
    if isinstance(value, list):
        low, middle, high = (_cell(figure) for figure in (min(value), median(value), max(value)))
        return middle if low == high else f"{middle} ({low} to {high})"
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


def _cpu() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()
