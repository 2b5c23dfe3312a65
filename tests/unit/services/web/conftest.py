"""A small service built by the real factory, reached through its real edge."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry

from services.contracts.evaluate import BatchRequest, EvaluateRequest
from services.contracts.refine import RefineRequest
from services.errors import EngineUnavailable
from services.telemetry.metrics import PlatformMetrics
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator, Principal, require
from services.web.keys import Scope, new_key
from services.web.rate_limit import RateLimiter, charge

BODY_LIMIT = 400_000


@dataclass
class Service:
    """The application under test, the keys that it knows, and the gates of its slow route."""

    app: FastAPI
    keys: dict[str, str]
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def client(self, key: str | None = "all") -> AsyncIterator[httpx.AsyncClient]:
        """Give a client that sends the named key. An exception that leaves the application fails the test."""
        headers = {"Authorization": f"Bearer {self.keys[key]}"} if key else {}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
            yield client


def _router(service: Callable[[], Service]) -> APIRouter:
    router = APIRouter()

    @router.post("/evaluate")
    async def evaluate(
        body: EvaluateRequest, who: Annotated[Principal, Depends(require("evaluate"))]
    ) -> dict[str, Any]:
        return {"who": who.name, "chars": len(body.response)}

    @router.post("/refine")
    async def refine(body: RefineRequest, _: Annotated[Principal, Depends(require(Scope.REFINE))]) -> dict[str, int]:
        return {"rounds": body.max_rounds}

    @router.post("/batch")
    async def batch(body: BatchRequest, request: Request) -> dict[str, int]:
        await charge(request, len(body.items) - 1)
        return {"items": len(body.items)}

    @router.get("/deadline")
    async def deadline(request: Request) -> dict[str, Any]:
        return {"remaining_s": request.state.deadline.remaining_s(), "request_id": request.state.request_id}

    @router.get("/slow")
    async def slow() -> dict[str, str]:
        service().entered.set()
        await service().go.wait()
        return {}

    @router.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("my diary: division of my life")

    @router.get("/engine-down")
    async def engine_down() -> None:
        raise EngineUnavailable("the model server does not answer")

    @router.get("/breaks-while-streaming")
    async def breaks_while_streaming() -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            yield b"first\n"
            raise ZeroDivisionError("my diary")

        return StreamingResponse(lines())

    return router


@pytest.fixture
def make_service() -> Callable[..., Service]:
    """Return a maker of services; its arguments replace those of `create_app`."""

    def make(*, rate: str = "10000/minute", max_in_flight: int = 8, **changes: Any) -> Service:
        made = {
            "all": new_key("all", tuple(Scope)),
            "evaluator": new_key("evaluator", (Scope.EVALUATE,)),
            "refiner": new_key("refiner", (Scope.REFINE,)),
        }
        default = RouteLimits(deadline_s=20, max_body_bytes=BODY_LIMIT)
        arguments: dict[str, Any] = {
            "title": "test",
            "version": "1",
            "description": "A service under test.",
            "service": "test",
            "routers": [_router(lambda: made_service)],
            "auth": Authenticator([key.record for key in made.values()]),
            "rate_limiter": RateLimiter(rate, service="test"),
            "limits": WebLimits(default, max_in_flight, {"/refine": RouteLimits(20, 100)}),
            "metrics": PlatformMetrics(CollectorRegistry()),
        }
        made_service = Service(create_app(**arguments | changes), {name: key.secret for name, key in made.items()})
        return made_service

    return make


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """Return the service as it is by default."""
    return make_service()
