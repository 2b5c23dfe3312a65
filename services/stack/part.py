"""One part of the stack as data: what to run, with which settings, and how to see that it is ready."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

_POLL_INTERVAL_S = 0.25
_PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class HttpProbe:
    """Ready when a GET answers 200."""

    url: str

    async def answers(self) -> bool:
        """Ask once."""
        try:
            async with httpx.AsyncClient(timeout=_PROBE_TIMEOUT_S, trust_env=False) as client:
                return (await client.get(self.url)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class TcpProbe:
    """Ready when a loopback port accepts connections."""

    port: int

    async def answers(self) -> bool:
        """Ask once."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


@dataclass(frozen=True)
class Part:
    """A process that the supervisor keeps running."""

    name: str
    command: tuple[str, ...]
    probe: HttpProbe | TcpProbe
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Set on top of the inherited environment; may hold secrets, so it is not shown."""
    start_timeout_s: float = 60.0


async def wait_until_ready(probe: HttpProbe | TcpProbe, *, timeout_s: float, is_alive: Callable[[], bool]) -> bool:
    """Ask `probe` until it answers; False when the process has ended or the time is up."""
    try:
        async with asyncio.timeout(timeout_s):
            while is_alive():
                if await probe.answers():
                    return True
                await asyncio.sleep(_POLL_INTERVAL_S)
    except TimeoutError:
        return False
    return False
