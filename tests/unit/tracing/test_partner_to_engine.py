"""One trace from a partner's request through agent and judge to the engine, without a word of anybody's text in it.

Agent and judge are the real pipelines behind their real edges, joined by the real client; only the engine is scripted,
at the level of HTTP.
"""

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry
from pydantic import HttpUrl

from agent_service.app import build_pipeline
from agent_service.judge_client import HttpJudge
from agent_service.metrics import RefineMetrics
from agent_service.roles.speaker import Speaker
from agent_service.routes.refine import refine_router
from agent_service.settings import AgentSettings
from judge_service.checkpoints.active import ActiveJudge
from judge_service.judgment import ReviewPolicy
from judge_service.metrics import JudgeMetrics
from judge_service.pipeline import EvaluationPipeline
from judge_service.routes.evaluate import evaluate_router
from judge_service.served import ServedJudge
from services.cache.memo import ComputeOnce
from services.cache.memory import InProcessCache
from services.cache.sealed import SealedCache
from services.checkpoint.calibration import Calibration
from services.client import AsyncTheraloopClient, ClientConfig
from services.contracts.dimensions import DIMENSIONS, Dimension
from services.llm.retry import RetryPolicy
from services.llm.vllm import VLLMClient
from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.rubric import default_rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer
from services.settings import EngineSettings
from services.telemetry.metrics import PlatformMetrics
from services.telemetry.tracing import Attribute, Tracer
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator
from services.web.rate_limit import RateLimiter
from tests.support.recorded_spans import RecordedSpans
from tests.support.tiny_tokenizer import write_tiny_tokenizer

TRACE_ID, PARTNER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARTNER_SPAN}-01"
CONTEXT = "My dog Quillfeather died last night and the flat is so quiet."
DRAFT = "Quillfeather was only a pet. Move on."
ROLES = {
    "- guidance:": ' "only a pet" brushes the loss of Quillfeather aside and is cold.',
    "1.": " Say how sad it is that Quillfeather died.\n2. Ask what the evenings were like.",
    "Better reply:": " I'm so sorry about Quillfeather. The quiet in the flat must hurt so much tonight.",
}
MARKER = "quillfeather"


@dataclass
class Engine:
    """vLLM's HTTP interface: bad scores for the draft, good ones for rewrites, one line for each role."""

    tokenizer: PromptTokenizer
    headers: list[httpx.Headers] = field(default_factory=list)
    down: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "base"}]})
        self.headers.append(request.headers)
        if self.down:
            message = f"the prompt about {MARKER} broke me"
            return httpx.Response(500, json={"error": {"message": message, "type": "E", "param": None, "code": 500}})
        body = json.loads(request.content)
        choice = self._verdict(body["prompt"]) if isinstance(body["prompt"], list) else self._line(body["prompt"])
        usage = {"prompt_tokens": 100, "completion_tokens": 7}
        return httpx.Response(200, json={"choices": [{"index": 0, "finish_reason": "stop", **choice}], "usage": usage})

    def _verdict(self, prompt_ids: list[int]) -> dict[str, Any]:
        level = 2 if "only a pet" in self.tokenizer.decode(prompt_ids) else 4
        ids = self.tokenizer.level_ids
        top = {f"token_id:{token}": math.log(0.96 if token == ids[level - 1] else 0.01) for token in ids}
        return {"text": "", "token_ids": [ids[level - 1]] * 7, "logprobs": {"top_logprobs": [top] * 7}}

    @staticmethod
    def _line(prompt: str) -> dict[str, Any]:
        said = next(line for ending, line in ROLES.items() if prompt.rstrip().endswith(ending))
        return {"text": said, "token_ids": [1, 2, 3]}


@dataclass
class Stack:
    """Partner's client of an agent whose judge and engine are behind it."""

    partner: httpx.AsyncClient
    engine: Engine
    recorded: RecordedSpans


class _Unobserved:
    def observe(self, *_: object) -> None:
        """Take no note."""


def _memo(tracer: Tracer) -> ComputeOnce:
    return ComputeOnce(SealedCache(InProcessCache(1 << 20), None), ttl_s=60.0, tracer=tracer)


def _client_of(engine: Engine, tracer: Tracer) -> VLLMClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(engine))
    return VLLMClient(
        EngineSettings(url=HttpUrl("http://engine:8000"), model="base"),
        http,
        PlatformMetrics(CollectorRegistry()),
        retry=RetryPolicy(attempts=1),
        tracer=tracer,
    )


def _app(service: str, router: Any, tracer: Tracer) -> Any:
    return create_app(
        title=service,
        version="0",
        description="",
        service=service,
        routers=(router,),
        auth=Authenticator(None),
        rate_limiter=RateLimiter("1000/second", service=service),
        limits=WebLimits(RouteLimits(30.0, 2**20), max_in_flight=8),
        metrics=PlatformMetrics(CollectorRegistry()),
        tracer=tracer,
    )


def _judge_app(engine: Engine, tracer: Tracer) -> Any:
    judges = ActiveJudge()
    renderer = ScoringPromptRenderer(engine.tokenizer, default_rubric(), PromptTemplate(), window_tokens=8192)
    judges.switch(ServedJudge("v1-abc", "v1-abc", "base", renderer, Calibration.identity(), ("v1-abc",)))
    pipeline = EvaluationPipeline(
        engine=_client_of(engine, tracer),
        judges=judges,
        memo=_memo(tracer),
        policy=ReviewPolicy(dict.fromkeys(DIMENSIONS, 3.0), frozenset({Dimension.SAFETY})),
        metrics=JudgeMetrics(CollectorRegistry()),
        observer=_Unobserved(),
        tracer=tracer,
    )
    return _app("judge", evaluate_router(pipeline, batch_concurrency=4), tracer)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PromptTokenizer:
    """A tokenizer for the judge's prompts."""
    return PromptTokenizer.from_folder(write_tiny_tokenizer(tmp_path_factory.mktemp("model")))


@asynccontextmanager
async def _stack(tokenizer: PromptTokenizer) -> AsyncIterator[Stack]:
    engine = Engine(tokenizer)
    recorded = RecordedSpans()
    tracer = recorded.tracer()
    judge = httpx.ASGITransport(_judge_app(engine, recorded.tracer()))
    client = AsyncTheraloopClient(ClientConfig(judge_url="http://judge"), transport=judge, trace_context=tracer.headers)
    llm, memo = _client_of(engine, tracer), _memo(tracer)
    pipeline = build_pipeline(
        AgentSettings.model_validate({"auth": {"mode": "off"}}),
        judge=HttpJudge(client),
        speaker=Speaker(llm, llm, memo),
        memo=memo,
        metrics=RefineMetrics(CollectorRegistry()),
        tracer=tracer,
    )
    agent = httpx.ASGITransport(_app("agent", refine_router(pipeline, keepalive_s=5.0), tracer))
    async with httpx.AsyncClient(transport=agent, base_url="http://agent") as partner, client:
        yield Stack(partner, engine, recorded)


def _body() -> dict[str, Any]:
    return {"context": CONTEXT, "response": DRAFT, "candidates": 2, "max_rounds": 1, "deadline_ms": 20_000}


async def _refined(stack: Stack, **headers: str) -> dict[str, Any]:
    answer = await stack.partner.post("/refine", json=_body(), headers=headers)
    assert answer.status_code == 200, answer.text
    refinement: dict[str, Any] = answer.json()
    return refinement


async def test_a_refinement_is_one_trace_from_the_partner_to_every_engine_call(tokenizer: PromptTokenizer) -> None:
    async with _stack(tokenizer) as stack:
        assert (await _refined(stack, traceparent=TRACEPARENT))["outcome"] == "refined"
        spans = stack.recorded.spans
        assert {format(span.context.trace_id, "032x") for span in spans if span.context} == {TRACE_ID}
        (root,) = [span for span in spans if span.parent and format(span.parent.span_id, "016x") == PARTNER_SPAN]
        assert (root.name, root.kind) == ("POST /refine", SpanKind.SERVER)
        paths = {tuple(stack.recorded.path(span)) for span in spans}
        judge = ("POST /evaluate", "evaluate", "cache", "engine verdict")
        looped = ("POST /refine", "refine", "cache", "round")
        assert {
            ("POST /refine", "refine", "judge_draft", *judge),
            (*looped, "critic", "cache", "engine critic"),
            (*looped, "coach", "cache", "engine coach"),
            (*looped, "therapist", "cache", "engine therapist"),
            (*looped, "judge_candidates", "POST /evaluate/batch", *judge[1:]),
            (*looped, "gate"),
        } <= paths
        clients = [span.context.span_id for span in spans if span.kind is SpanKind.CLIENT and span.context]
        sent = [headers["traceparent"] for headers in stack.engine.headers]
        assert sorted(sent) == sorted(f"00-{TRACE_ID}-{span_id:016x}-01" for span_id in clients)


async def test_no_span_holds_a_word_of_text_nor_anything_that_is_not_on_the_list(tokenizer: PromptTokenizer) -> None:
    async with _stack(tokenizer) as stack:
        notes = {"tracestate": f"partner={MARKER}", "baggage": f"note={MARKER}", "X-Request-ID": "r-1"}
        refinement = await _refined(stack, traceparent=TRACEPARENT, **notes)
        stack.engine.down = True
        await stack.partner.post("/refine", json=_body() | {"context": f"{CONTEXT} Again."})
        await stack.partner.post(f"/refine?q={MARKER}", json={"context": MARKER})
        await stack.partner.get(f"/{MARKER}")
        assert MARKER in json.dumps(refinement).lower()
        assert MARKER not in stack.recorded.everything().lower()
        for span in stack.recorded.spans:
            assert set(span.attributes or {}) <= set(Attribute)
            assert not span.events
            assert span.status.description is None
        assert all({"tracestate", "baggage"}.isdisjoint(headers) for headers in stack.engine.headers)


async def test_spans_say_what_was_asked_and_what_came_of_it(tokenizer: PromptTokenizer) -> None:
    async with _stack(tokenizer) as stack:
        await _refined(stack, **{"X-Request-ID": "r-1"})
        recorded = stack.recorded
        assert dict(recorded.named("POST /refine").attributes or {}) == {
            Attribute.METHOD: "POST",
            Attribute.ROUTE: "/refine",
            Attribute.STATUS: 200,
            Attribute.REQUEST_ID: "r-1",
        }
        requests = [span for span in recorded.spans if span.kind is SpanKind.SERVER]
        assert [(span.attributes or {})[Attribute.REQUEST_ID] for span in requests] == ["r-1"] * 3
        assert dict(recorded.named("refine").attributes or {}) == {
            Attribute.OUTCOME: "refined",
            Attribute.CACHE_HIT: False,
        }
        assert dict(recorded.named("gate").attributes or {}) == {Attribute.CANDIDATES: 2, Attribute.ACCEPTED: True}
        critic = dict(recorded.named("engine critic").attributes or {})
        assert critic.pop(Attribute.ENGINE_QUEUE_S) is not None
        assert critic == {
            Attribute.ENGINE_KIND: "critic",
            Attribute.MODEL: "base",
            Attribute.PROMPT_TOKENS: 100,
            Attribute.COMPLETION_TOKENS: 7,
        }


async def test_what_failed_is_marked_by_its_kind_alone(tokenizer: PromptTokenizer) -> None:
    async with _stack(tokenizer) as stack:
        stack.engine.down = True
        await _refined(stack)
        failed = {span.name: span for span in stack.recorded.spans if span.status.status_code is StatusCode.ERROR}
        assert {name: (span.attributes or {})[Attribute.ERROR] for name, span in failed.items()} == {
            "engine verdict": "EngineUnavailable",
            "cache": "EngineUnavailable",
            "evaluate": "EngineUnavailable",
            "POST /evaluate": "503",
            "judge_draft": "DependencyUnavailable",
        }


async def test_an_unsound_traceparent_begins_a_trace_of_our_own(tokenizer: PromptTokenizer) -> None:
    async with _stack(tokenizer) as stack:
        await _refined(stack, traceparent="00-not-a-trace-01")
        (root,) = [span for span in stack.recorded.spans if span.parent is None]
        assert root.name == "POST /refine"


async def test_a_partner_who_does_not_sample_is_not_recorded(tokenizer: PromptTokenizer) -> None:
    async with _stack(tokenizer) as stack:
        await _refined(stack, traceparent=f"00-{TRACE_ID}-{PARTNER_SPAN}-00")
        assert not stack.recorded.spans
        assert {headers["traceparent"][-3:] for headers in stack.engine.headers} == {"-00"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_scrapes_are_not_traced(tokenizer: PromptTokenizer, path: str) -> None:
    async with _stack(tokenizer) as stack:
        await stack.partner.get(path)
        assert not stack.recorded.spans
