"""The agent's composition root: settings in, a FastAPI application with its clients out.

The only place that builds them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx
from fastapi import FastAPI

from agent_service.budget import StageTimes
from agent_service.crisis.lexicon import default_lexicon
from agent_service.crisis.messages import load_messages
from agent_service.crisis.resources import load_resources
from agent_service.crisis.screen import CrisisScreen
from agent_service.gate import GateRules
from agent_service.judge_client import HttpJudge
from agent_service.loop import RefineLoop
from agent_service.metrics import RefineMetrics
from agent_service.pipeline import RefinePipeline
from agent_service.policy import Policy
from agent_service.ports import Judge
from agent_service.readiness import readiness_probes
from agent_service.roles.coach import Coach
from agent_service.roles.critic import Critic
from agent_service.roles.silent import SilentCoach, SilentCritic
from agent_service.roles.speaker import RoleModel, Speaker
from agent_service.roles.therapist import TemperatureLadder, Therapist
from agent_service.rounds import RoundRunner
from agent_service.routes.refine import refine_router
from agent_service.settings import AgentSettings, RoleSettings
from services.cache.build import build_cache
from services.cache.memo import ComputeOnce
from services.client import AsyncTheraloopClient, ClientConfig
from services.llm.vllm import VLLMClient
from services.roles.prompts import Role, RolePrompts
from services.rubric.rubric import default_rubric
from services.telemetry.metrics import PlatformMetrics, process_registry
from services.telemetry.tracing import UNTRACED, Tracer, tracer_of
from services.text_checks.refusals import LengthLimits, TextChecks
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator
from services.web.rate_limit import RateLimiter

DESCRIPTION = "Rewrites a draft to a person in distress under a judge's control; never worse than the draft."


def build_app(settings: AgentSettings) -> FastAPI:
    """Return the agent's application.

    Raises:
        DataInvalid: a crisis data file is unusable.
    """
    metrics = PlatformMetrics(process_registry())
    cache = build_cache(settings.cache, metrics)
    tracer = tracer_of(settings.tracing, "agent")
    http = httpx.AsyncClient()
    engine = VLLMClient(settings.engine, http, metrics, tracer=tracer)
    judge = ClientConfig(judge_url=str(settings.judge.url), api_key=settings.judge.api_key)
    client = AsyncTheraloopClient(judge, trace_context=tracer.headers)
    memo = ComputeOnce(cache.sealed, settings.cache.ttl_s, tracer=tracer)
    pipeline = build_pipeline(
        settings,
        judge=HttpJudge(client),
        speaker=Speaker(engine, engine, memo),
        memo=memo,
        metrics=RefineMetrics(metrics.registry),
        tracer=tracer,
    )
    rate_limiter = RateLimiter(settings.limits.rate, settings.cache.redis_url, service="agent")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with http, client:
            yield
        await rate_limiter.close()
        await cache.plain.close()
        await tracer.close()

    return create_app(
        title="theraloop agent",
        version=version("theraloop"),
        description=DESCRIPTION,
        service="agent",
        routers=(refine_router(pipeline, keepalive_s=settings.refine.keepalive_s),),
        auth=Authenticator.from_settings(settings.auth),
        rate_limiter=rate_limiter,
        limits=WebLimits.from_settings(
            settings.limits,
            {"/refine": RouteLimits(settings.refine.deadline_s, settings.limits.max_body_kib * 1024)},
        ),
        metrics=metrics,
        lifespan=lifespan,
        readiness=readiness_probes(client, engine, cache.plain),
        tracer=tracer,
    )


def build_pipeline(
    settings: AgentSettings,
    *,
    judge: Judge,
    speaker: Speaker,
    memo: ComputeOnce,
    metrics: RefineMetrics,
    tracer: Tracer = UNTRACED,
    silent: frozenset[Role] = frozenset(),
) -> RefinePipeline:
    """Return the pipeline over a judge and a speaker: the domain, wired as the settings say.

    Critic and Coach can be `silent`: then the rubric's anchors stand in, as the evaluation's ablations have it.

    Raises:
        DataInvalid: a crisis data file is unusable.
    """
    screen = CrisisScreen(default_lexicon())
    resources = load_resources(settings.crisis.resources_file)
    messages = load_messages(settings.crisis.messages_file)
    checks = TextChecks(screen.is_dangerous_reply, LengthLimits(**settings.length.model_dump()))
    prompts = _prompts(settings.roles)
    times = StageTimes()
    runner = _runner(settings, prompts, judge, speaker, checks, times, metrics, tracer, silent)
    return RefinePipeline(
        judge=judge,
        loop=RefineLoop(runner, screen, times),
        screen=screen,
        resources=resources,
        messages=messages,
        memo=memo,
        rules=GateRules(settings.gate.resolved(), settings.gate.margin, settings.gate.safety_floor),
        policy=Policy(settings.policy.judge_down, settings.policy.model_down),
        identity=(
            version("theraloop"),
            prompts.digest,
            screen.digest,
            resources.source_digest,
            messages.source_digest,
            settings.roles.model_dump_json(),
            settings.length.model_dump_json(),
            settings.gate.model_dump_json(),
            settings.engine.model or "",
        ),
        metrics=metrics,
        tracer=tracer,
    )


def _runner(
    settings: AgentSettings,
    prompts: RolePrompts,
    judge: Judge,
    speaker: Speaker,
    checks: TextChecks,
    times: StageTimes,
    metrics: RefineMetrics,
    tracer: Tracer,
    silent: frozenset[Role],
) -> RoundRunner:
    roles, base, rubric = settings.roles, settings.engine.model, default_rubric()
    critic = RoleModel(roles.critic_model or base, roles.critic_style, roles.critic_tokens, roles.fingerprint)
    coach = RoleModel(roles.coach_model or base, roles.coach_style, roles.coach_tokens, roles.fingerprint)
    therapist = RoleModel(
        roles.therapist_model or base, roles.therapist_style, roles.therapist_tokens, roles.fingerprint
    )
    ladder = TemperatureLadder(roles.lowest_temperature, roles.highest_temperature, roles.top_p)
    return RoundRunner(
        critic=SilentCritic(rubric) if Role.CRITIC in silent else Critic(speaker, prompts, critic, rubric),
        coach=SilentCoach(rubric, max_changes=roles.max_changes)
        if Role.COACH in silent
        else Coach(speaker, prompts, coach, rubric, max_changes=roles.max_changes),
        therapist=Therapist(speaker, prompts, therapist, ladder),
        judge=judge,
        checks=checks,
        times=times,
        metrics=metrics,
        max_aims=roles.max_aims,
        tracer=tracer,
    )


def _prompts(roles: RoleSettings) -> RolePrompts:
    return RolePrompts(
        default_rubric(),
        max_context_chars=roles.max_context_chars,
        max_draft_chars=roles.max_draft_chars,
        max_changes=roles.max_changes,
    )
