"""The judge's composition root: settings in, a FastAPI application with its clients out.

The only place that builds them.
"""

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx
from fastapi import FastAPI

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.base import BaseJudge
from judge_service.checkpoints.engines import EngineFleet, Member
from judge_service.checkpoints.hot_loading import HotLoading
from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.checkpoints.mirror import Mirror
from judge_service.checkpoints.pointer import InProcessPointer, PointerStore
from judge_service.checkpoints.redis_pointer import RedisPointer
from judge_service.checkpoints.registry import FolderRegistry, NoRegistry
from judge_service.checkpoints.remote import HttpSource
from judge_service.checkpoints.servable import ServableCheckpoints
from judge_service.checkpoints.shadow import Shadow
from judge_service.health.metrics import GoldenMetrics, ReferenceCollector
from judge_service.health.sentinels import Sentinels
from judge_service.judgment import ReviewPolicy
from judge_service.metrics import JudgeMetrics
from judge_service.pipeline import EvaluationPipeline
from judge_service.readiness import readiness_probes
from judge_service.routes.checkpoints import checkpoints_router
from judge_service.routes.evaluate import evaluate_router
from judge_service.routes.rubric import rubric_router
from judge_service.settings import CheckpointSettings, JudgeSettings
from services.cache.build import build_cache
from services.cache.memo import ComputeOnce
from services.llm.vllm import VLLMClient
from services.rubric.rubric import default_rubric
from services.rubric.tokenizer import PromptTokenizer
from services.telemetry.metrics import PlatformMetrics, process_registry
from services.telemetry.tracing import Tracer, tracer_of
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator
from services.web.rate_limit import RateLimiter

_POINTER_TIMEOUT_S = 2.0
"""Far above a Redis operation, far below what an operator waits; the beat asks again each second."""
DESCRIPTION = "Scores a reply to a person in distress on seven dimensions, as clinicians would."


def build_app(settings: JudgeSettings) -> FastAPI:
    """Return the judge's application."""
    metrics = PlatformMetrics(process_registry())
    cache = build_cache(settings.cache, metrics)
    tracer = tracer_of(settings.tracing, "judge")
    http = httpx.AsyncClient()
    fleet = _fleet(settings, http, metrics, tracer)
    judges = ActiveJudge()
    checkpoint_metrics = CheckpointMetrics(metrics.registry)
    shadow = Shadow(settings.shadow, settings.review.resolved(), fleet, checkpoint_metrics)
    mirror = _mirror(settings.checkpoints, http, checkpoint_metrics)
    hot_loading = _hot_loading(settings, fleet, judges, shadow, checkpoint_metrics, mirror)
    metrics.registry.register(ReferenceCollector(judges))
    sentinels = Sentinels(settings.sentinels, judges, fleet, GoldenMetrics(metrics.registry))
    pipeline = EvaluationPipeline(
        engine=fleet,
        judges=judges,
        memo=ComputeOnce(cache.sealed, settings.cache.ttl_s, tracer=tracer),
        policy=ReviewPolicy(settings.review.resolved(), settings.review.critical),
        metrics=JudgeMetrics(metrics.registry),
        observer=shadow,
        tracer=tracer,
    )
    rate_limiter = RateLimiter(settings.limits.rate, settings.cache.redis_url, service="judge")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with http, hot_loading.running(), sentinels.running():
            yield
        await rate_limiter.close()
        await cache.plain.close()
        await tracer.close()

    return create_app(
        title="theraloop judge",
        version=version("theraloop"),
        description=DESCRIPTION,
        service="judge",
        routers=(
            evaluate_router(pipeline, batch_concurrency=settings.batch.concurrency),
            rubric_router(default_rubric()),
            checkpoints_router(hot_loading),
        ),
        auth=Authenticator.from_settings(settings.auth),
        rate_limiter=rate_limiter,
        limits=WebLimits.from_settings(
            settings.limits,
            {"/evaluate/batch": RouteLimits(settings.batch.deadline_s, settings.batch.max_body_kib * 1024)},
        ),
        metrics=metrics,
        lifespan=lifespan,
        readiness=readiness_probes(fleet, judges, hot_loading, cache.plain),
        tracer=tracer,
    )


def _fleet(settings: JudgeSettings, http: httpx.AsyncClient, metrics: PlatformMetrics, tracer: Tracer) -> EngineFleet:
    engines = [
        settings.engine.model_copy(update={"url": url}) for url in (settings.engine.url, *settings.fleet.more_urls)
    ]
    return EngineFleet(
        [Member(str(engine.url), VLLMClient(engine, http, metrics, tracer=tracer)) for engine in engines]
    )


def _mirror(settings: CheckpointSettings, http: httpx.AsyncClient, metrics: CheckpointMetrics) -> Mirror | None:
    if settings.remote_url is None or settings.folder is None:
        return None
    return Mirror(
        HttpSource(settings.remote_url, http, s3_region=settings.remote_s3_region), settings.folder, settings, metrics
    )


def _hot_loading(
    settings: JudgeSettings,
    fleet: EngineFleet,
    judges: ActiveJudge,
    shadow: Shadow,
    metrics: CheckpointMetrics,
    mirror: Mirror | None,
) -> HotLoading:
    tokenizer = PromptTokenizer.from_folder(settings.model.folder)
    folder, redis_url = settings.checkpoints.folder, settings.cache.redis_url
    store: PointerStore = InProcessPointer()
    if redis_url is not None:
        store = RedisPointer(redis_url.get_secret_value(), settings.model.fingerprint, timeout_s=_POINTER_TIMEOUT_S)
    return HotLoading(
        settings.checkpoints,
        settings.canary,
        replica=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}",
        registry=FolderRegistry(folder, rescan_s=settings.checkpoints.rescan_s) if folder else NoRegistry(),
        store=store,
        servable=ServableCheckpoints(settings.checkpoints, settings.model, tokenizer),
        fleet=fleet,
        judges=judges,
        base=BaseJudge(settings.model, tokenizer, settings.engine.model, fleet, default_rubric()),
        shadow=shadow,
        metrics=metrics,
        mirror=mirror,
    )
