"""What must answer before the judge takes traffic: the engine, and the active checkpoint in it.

The cache is named, not required.
"""

from collections.abc import Sequence

from judge_service.checkpoints.active import ActiveJudge
from services.cache.port import Cache
from services.deadline import Deadline
from services.errors import CacheUnavailable, EngineUnavailable
from services.llm.port import Adapters
from services.web.health import PROBE_TIMEOUT_S, ReadinessProbe


def readiness_probes(engine: Adapters, judges: ActiveJudge, cache: Cache) -> Sequence[ReadinessProbe]:
    """Return the judge's probes."""

    async def engine_answers() -> str:
        models = await engine.models(Deadline.after(PROBE_TIMEOUT_S))
        return f"serves {', '.join(models)}"

    async def checkpoint_is_served() -> str:
        judge = judges.current
        if judge is None:
            raise EngineUnavailable("no judge is active yet")
        if judge.model not in await engine.models(Deadline.after(PROBE_TIMEOUT_S)):
            raise EngineUnavailable(f"the engine does not serve {judge.label}")
        return judge.label

    async def cache_answers() -> str:
        if not await cache.ping():
            raise CacheUnavailable(f"{cache.name} does not answer")
        return cache.name

    return (
        ReadinessProbe("engine", engine_answers),
        ReadinessProbe("checkpoint", checkpoint_is_served),
        ReadinessProbe("cache", cache_answers, required=False),
    )
