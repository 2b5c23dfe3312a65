"""What must answer before the judge takes traffic: the engine, the active checkpoint in it.

A replica that cannot serve what the pointer says is not ready, so that nobody is answered by a stale judge unseen. The
cache and the pointer's store are named, not required.
"""

from collections.abc import Sequence

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.engines import EngineFleet
from judge_service.checkpoints.hot_loading import HotLoading
from judge_service.checkpoints.pointer import PointerUnavailable
from services.cache.port import Cache
from services.deadline import Deadline
from services.errors import CacheUnavailable, EngineUnavailable
from services.web.health import PROBE_TIMEOUT_S, ReadinessProbe


def readiness_probes(
    fleet: EngineFleet, judges: ActiveJudge, hot_loading: HotLoading, cache: Cache
) -> Sequence[ReadinessProbe]:
    """Return the judge's probes."""

    async def engine_answers() -> str:
        models = await fleet.models(Deadline.after(PROBE_TIMEOUT_S))
        return f"serves {', '.join(models)}"

    async def checkpoint_is_served() -> str:
        judge, trouble = judges.current, hot_loading.switch.trouble
        if judge is None or trouble is not None:
            raise EngineUnavailable(trouble or "no judge is active yet")
        await fleet.refresh(Deadline.after(PROBE_TIMEOUT_S))
        if not any(fleet.serves(judge.model).values()):
            raise EngineUnavailable(f"no engine serves {judge.label}")
        return judge.label

    async def pointer_is_reachable() -> str:
        if not hot_loading.replicas.reachable:
            raise PointerUnavailable("the pointer's store does not answer; what is active stays active")
        return f"{hot_loading.replicas.store.name}, generation {hot_loading.replicas.generation}"

    async def cache_answers() -> str:
        if not await cache.ping():
            raise CacheUnavailable(f"{cache.name} does not answer")
        return cache.name

    return (
        ReadinessProbe("engine", engine_answers),
        ReadinessProbe("checkpoint", checkpoint_is_served),
        ReadinessProbe("pointer", pointer_is_reachable, required=False),
        ReadinessProbe("cache", cache_answers, required=False),
    )
