"""What must answer before the agent takes traffic: the judge and the engine. The cache is named, not required."""

from collections.abc import Sequence

from services.cache.port import Cache
from services.client import AsyncTheraloopClient, Service
from services.client.errors import ClientError
from services.deadline import Deadline
from services.errors import CacheUnavailable, DependencyUnavailable
from services.llm.port import Adapters
from services.web.health import PROBE_TIMEOUT_S, ReadinessProbe


def readiness_probes(client: AsyncTheraloopClient, engine: Adapters, cache: Cache) -> Sequence[ReadinessProbe]:
    """Return the agent's probes."""

    async def judge_is_ready() -> str:
        try:
            readiness = await client.ready(Service.JUDGE, deadline=Deadline.after(PROBE_TIMEOUT_S))
        except ClientError as error:
            raise DependencyUnavailable("the judge does not answer") from error
        if readiness.status == "unready":
            raise DependencyUnavailable("the judge is not ready")
        return readiness.status

    async def engine_answers() -> str:
        models = await engine.models(Deadline.after(PROBE_TIMEOUT_S))
        return f"serves {', '.join(models)}"

    async def cache_answers() -> str:
        if not await cache.ping():
            raise CacheUnavailable(f"{cache.name} does not answer")
        return cache.name

    return (
        ReadinessProbe("judge", judge_is_ready),
        ReadinessProbe("engine", engine_answers),
        ReadinessProbe("cache", cache_answers, required=False),
    )
