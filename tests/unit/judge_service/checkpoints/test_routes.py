from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry

from judge_service.routes.checkpoints import checkpoints_router
from services.telemetry.metrics import PlatformMetrics
from services.web.admission import RouteLimits, WebLimits
from services.web.app import create_app
from services.web.auth import Authenticator
from services.web.keys import KeyRecord, Scope, digest_of
from services.web.rate_limit import RateLimiter
from tests.unit.judge_service.checkpoints.conftest import Replica, World

pytestmark = pytest.mark.anyio

ADMIN = {"Authorization": "Bearer tl_admin"}
PARTNER = {"Authorization": "Bearer tl_partner"}


@asynccontextmanager
async def _api(replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    keys = [
        KeyRecord(name="ops", sha256=digest_of("tl_admin"), scopes=(Scope("admin"),)),
        KeyRecord(name="partner", sha256=digest_of("tl_partner"), scopes=(Scope("evaluate"),)),
    ]
    app = create_app(
        title="judge",
        version="0",
        description="",
        service="judge",
        routers=(checkpoints_router(replica.hot),),
        auth=Authenticator(keys),
        rate_limiter=RateLimiter("1000/second", service="judge"),
        limits=WebLimits(RouteLimits(30.0, 1 << 16), max_in_flight=16),
        metrics=PlatformMetrics(CollectorRegistry()),
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://judge", headers=ADMIN) as client:
        yield client


async def test_operator_sees_activates_rolls_back_and_retires(world: World) -> None:
    world.add("first", 3.0)
    replica = world.replica("one", {"promotion": "by_hand"})
    await replica.start()
    world.add("second", 4.0)
    async with _api(replica) as api:
        for _ in range(2):
            activated = await api.post("/checkpoints/second/activate")
            assert (activated.status_code, activated.json()["state"]) == (200, "active")
        seen = (await api.get("/checkpoints")).json()
        assert seen["active"].startswith("second-")
        assert seen["pointer"]["generation"] == 2
        assert [entry["by"] for entry in seen["audit"]] == ["ops", "automatic"]
        for _ in range(2):
            back = await api.post("/checkpoints/rollback", json={"from_version": "second"})
            assert back.json()["active"].startswith("first-")
        await replica.settle()
        assert (await api.get("/checkpoints/second")).json()["state"] == "retired"
        retired = await api.post("/checkpoints/second/retire")
        assert (retired.status_code, retired.json()["state"]) == (200, "retired")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "/checkpoints/third", None, 404, id="unknown"),
        pytest.param("POST", "/checkpoints/third/activate", None, 404, id="activate unknown"),
        pytest.param("POST", "/checkpoints/first/retire", None, 409, id="retire the active one"),
        pytest.param("POST", "/checkpoints/rollback", None, 409, id="nothing to roll back to"),
        pytest.param("POST", "/checkpoints/draft/activate", None, 409, id="not promotable"),
        pytest.param("GET", "/checkpoints/..%2f..%2fetc", None, 404, id="path escape"),
        pytest.param("GET", "/checkpoints/UPPER", None, 422, id="no version"),
        pytest.param("POST", "/checkpoints/first/activate", {"now": True}, 422, id="unknown field"),
    ],
)
async def test_what_cannot_be_done_is_a_problem(
    world: World, method: str, path: str, body: object, status: int
) -> None:
    world.add("first", 3.0)
    world.add("draft", 4.0, promotable=False)
    replica = world.replica("one", {})
    await replica.start()
    async with _api(replica) as api:
        answer = await api.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/checkpoints/first/activate", "/checkpoints/rollback", "/checkpoints/first/retire"])
async def test_only_admins_change_anything(world: World, path: str) -> None:
    world.add("first", 3.0)
    replica = world.replica("one", {})
    await replica.start()
    async with _api(replica) as api:
        assert (await api.post(path, headers=PARTNER)).status_code == 403
        assert (await api.get("/checkpoints", headers=PARTNER)).status_code == 403
