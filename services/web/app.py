"""The app factory of every service: routers and probes in, a FastAPI application with one behaviour at its edge out.

A request passes `EdgeMiddleware` (id, log, metrics, last resort), `AdmissionMiddleware` (in flight, key, rate, size,
deadline), then the route. Whatever goes wrong on the way is a problem (`problems.py`). Settings are read and clients
are built by the service's `app.py`.
"""

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.types import Lifespan

from services.telemetry.metrics import PlatformMetrics
from services.telemetry.tracing import UNTRACED, Tracer
from services.web.admission import AdmissionMiddleware, WebLimits
from services.web.auth import Authenticator
from services.web.edge import EdgeMiddleware
from services.web.health import ReadinessProbe, health_router
from services.web.openapi import describe
from services.web.problems import install_handlers
from services.web.rate_limit import RateLimiter


def create_app(
    *,
    title: str,
    version: str,
    description: str,
    service: str,
    routers: Sequence[APIRouter],
    auth: Authenticator,
    rate_limiter: RateLimiter,
    limits: WebLimits,
    metrics: PlatformMetrics,
    lifespan: Lifespan[FastAPI] | None = None,
    readiness: Sequence[ReadinessProbe] = (),
    tracer: Tracer = UNTRACED,
) -> FastAPI:
    """Return the application of `service` (its short name in metrics and logs: `judge`, `agent`)."""
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        lifespan=lifespan,
        middleware=[
            Middleware(EdgeMiddleware, service=service, metrics=metrics, tracer=tracer),
            Middleware(
                AdmissionMiddleware,
                service=service,
                limits=limits,
                auth=auth,
                rate_limiter=rate_limiter,
                metrics=metrics,
            ),
        ],
    )
    app.state.rate_limiter = rate_limiter
    install_handlers(app)
    for router in (*routers, health_router(readiness, metrics)):
        app.include_router(router)
    # FastAPI documents this as the way to replace its document.
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    return app
