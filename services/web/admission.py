"""Who gets in, with how much, for how long: in-flight limit, key, rate, body size and deadline, in that order.

All of it happens before a route sees the request and before its body is parsed. Open paths (probes, metrics, the API's
own description) skip admission, key and rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.deadline import DEADLINE_HEADER, Deadline
from services.errors import DeadlineExceeded, InvalidInput, Overloaded, RateLimited, TooLarge
from services.settings import LimitSettings
from services.telemetry.metrics import PlatformMetrics
from services.web.auth import Authenticator
from services.web.rate_limit import RateLimiter

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/redoc"})
"""Paths that need no key: they tell nothing of anybody's text."""
_MAX_DEADLINE_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """What one request may take: seconds until its answer, and bytes of body."""

    deadline_s: float
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What a service accepts. `routes` replaces `default` for the exact paths it names."""

    default: RouteLimits
    max_in_flight: int
    routes: Mapping[str, RouteLimits] = field(default_factory=dict)
    retry_after_s: float = 1.0

    @classmethod
    def from_settings(cls, settings: LimitSettings, routes: Mapping[str, RouteLimits] | None = None) -> "WebLimits":
        """Return the limits that the settings ask for, with those of single routes."""
        default = RouteLimits(settings.deadline_s, settings.max_body_kib * 1024)
        return cls(default, settings.max_in_flight, routes or {})

    def of(self, path: str) -> RouteLimits:
        """Return the limits of a path."""
        return self.routes.get(path, self.default)


class AdmissionMiddleware:
    """Admits or refuses a request; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        limits: WebLimits,
        auth: Authenticator,
        rate_limiter: RateLimiter,
        metrics: PlatformMetrics,
    ) -> None:
        self._app = app
        self._service = service
        self._limits = limits
        self._auth = auth
        self._rate_limiter = rate_limiter
        self._refused = metrics.rate_limited
        self._gauge = metrics.http_in_flight.labels(service)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in OPEN_PATHS:
            await self._within_limits(scope, receive, send)
            return
        if self._in_flight >= self._limits.max_in_flight:
            self._refused.labels(self._service, "in_flight").inc()
            raise Overloaded("too many requests are in flight; try again shortly", self._limits.retry_after_s)
        self._in_flight += 1
        self._gauge.set(self._in_flight)
        try:
            await self._identify(scope)
            await self._within_limits(scope, receive, send)
        finally:
            self._in_flight -= 1
            self._gauge.set(self._in_flight)

    async def _identify(self, scope: Scope) -> None:
        principal = self._auth.authenticate(Headers(scope=scope).get("Authorization"))
        scope["state"]["principal"] = principal
        try:
            await self._rate_limiter.charge(principal)
        except RateLimited:
            self._refused.labels(self._service, "key").inc()
            raise

    async def _within_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self._limits.of(scope["path"])
        headers = Headers(scope=scope)
        deadline = _deadline_of(headers, limits.deadline_s)
        scope["state"]["deadline"] = deadline
        async with deadline.enforce():
            body = await _read_body(headers, receive, limits.max_body_bytes)
            await self._app(scope, _replay(body, receive), send)


def _deadline_of(headers: Headers, default_s: float) -> Deadline:
    """Return the earlier of the service's deadline and the caller's."""
    ours = Deadline.after(default_s)
    offered = headers.get(DEADLINE_HEADER)
    if offered is None:
        return ours
    if not (offered.isascii() and offered.isdigit() and len(offered) <= _MAX_DEADLINE_DIGITS):
        raise InvalidInput(f"{DEADLINE_HEADER} is not a whole number of milliseconds")
    if int(offered) == 0:
        raise DeadlineExceeded(f"{DEADLINE_HEADER} says that no time is left")
    return min(ours, Deadline.after(int(offered) / 1000))


async def _read_body(headers: Headers, receive: Receive, limit_bytes: int) -> bytes:
    """Return the whole body, refusing it at the first byte above the limit, announced or not."""
    too_large = TooLarge(f"the body is above {limit_bytes} bytes; send less at once")
    announced = headers.get("Content-Length", "0")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the body ended early")
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then what the server has to say (the client going away)."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
