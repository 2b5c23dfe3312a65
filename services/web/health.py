"""Is it alive, is it ready, what does it measure: `/healthz`, `/readyz`, `/metrics`.

Alive means that the process answers. Ready means that every required part really answered just now; an optional part
that is down is named but takes no traffic away.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import exposition
from pydantic import BaseModel, ConfigDict, Field

from services.contracts.readiness import PartReadiness, Readiness
from services.deadline import Deadline
from services.errors import ServiceError
from services.telemetry.metrics import PlatformMetrics

PROBE_TIMEOUT_S: Final = 2.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadinessProbe:
    """One part that must answer.

    `check` returns a detail for operators, or raises a ServiceError when the part is not ready.
    """

    name: str
    check: Callable[[], Awaitable[str]]
    required: bool = True


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True)

    status: Literal["alive"] = Field(default="alive", description="Always `alive`.")


def health_router(probes: Sequence[ReadinessProbe], metrics: PlatformMetrics) -> APIRouter:
    """Return the three routes."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Alive:
        return Alive()

    @router.get("/readyz", summary="Do the parts answer?", responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> Readiness:
        parts = await asyncio.gather(*(_probe(probe) for probe in probes))
        status: Literal["ready", "degraded", "unready"] = "ready"
        if any(not part.ok for part in parts):
            status = "unready" if any(part.required and not part.ok for part in parts) else "degraded"
        response.status_code = 503 if status == "unready" else 200
        response.headers["Cache-Control"] = "no-store"
        return Readiness(status=status, parts=tuple(parts))

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def prometheus(request: Request) -> Response:
        encoder, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
        return Response(encoder(metrics.registry), media_type=content_type)

    return router


async def _probe(probe: ReadinessProbe) -> PartReadiness:
    began_s = time.perf_counter()
    try:
        async with Deadline.after(PROBE_TIMEOUT_S).enforce():
            ok, detail = True, await probe.check()
    except ServiceError as error:
        ok, detail = False, error.detail
    except Exception as error:  # a probe that breaks is a part that is not ready
        _log.error("readiness_probe_broke", probe=probe.name, exc_info=error)
        ok, detail = False, "the probe itself failed; see the log"
    took_ms = round((time.perf_counter() - began_s) * 1000, 1)
    return PartReadiness(name=probe.name, ok=ok, required=probe.required, detail=detail, ms=took_ms)
