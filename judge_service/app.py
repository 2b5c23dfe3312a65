"""The judge's composition root: settings in, a FastAPI application with its clients out.

The only place that builds them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx
from fastapi import FastAPI

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.base import BaseJudge
from judge_service.judgment import ReviewPolicy
from judge_service.metrics import JudgeMetrics
from judge_service.pipeline import EvaluationPipeline
from judge_service.readiness import readiness_probes
from judge_service.routes.evaluate import evaluate_router
from judge_service.routes.rubric import rubric_router
from judge_service.settings import JudgeSettings
from services.cache.build import build_cache
from services.cache.memo import ComputeOnce
from services.llm.vllm import VLLMClient
from services.rubric.rubric import default_rubric
from services.telemetry.metrics import PlatformMetrics, process_registry
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator
from services.web.rate_limit import RateLimiter

DESCRIPTION = "Scores a reply to a person in distress on seven dimensions, as clinicians would."


def build_app(settings: JudgeSettings) -> FastAPI:
    """Return the judge's application."""
    metrics = PlatformMetrics(process_registry())
    cache = build_cache(settings.cache, metrics)
    http = httpx.AsyncClient()
    engine = VLLMClient(settings.engine, http, metrics)
    judges = ActiveJudge()
    base = BaseJudge(settings.model, settings.engine.model, engine, default_rubric())
    pipeline = EvaluationPipeline(
        engine=engine,
        judges=judges,
        memo=ComputeOnce(cache.sealed, settings.cache.ttl_s),
        policy=ReviewPolicy(settings.review.resolved(), settings.review.critical),
        metrics=JudgeMetrics(metrics.registry),
    )
    rate_limiter = RateLimiter(settings.limits.rate, settings.cache.redis_url, service="judge")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with http, base.activated_when_engine_answers(judges):
            yield
        await rate_limiter.close()
        await cache.plain.close()

    return create_app(
        title="theraloop judge",
        version=version("theraloop"),
        description=DESCRIPTION,
        service="judge",
        routers=(
            evaluate_router(pipeline, batch_concurrency=settings.batch.concurrency),
            rubric_router(default_rubric()),
        ),
        auth=Authenticator.from_settings(settings.auth),
        rate_limiter=rate_limiter,
        limits=WebLimits.from_settings(
            settings.limits,
            {"/evaluate/batch": RouteLimits(settings.batch.deadline_s, settings.batch.max_body_kib * 1024)},
        ),
        metrics=metrics,
        lifespan=lifespan,
        readiness=readiness_probes(engine, judges, cache.plain),
    )
