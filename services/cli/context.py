"""What a command works with: the terminal, standard input, the settings, and a client for the stack in question."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

import httpx
import typer

from services.cli.settings import CliSettings
from services.cli.terminal import Terminal
from services.client import ClientConfig, TheraloopClient
from services.client.config import LOCAL_AGENT_URL, LOCAL_JUDGE_URL

if TYPE_CHECKING:
    from services.stack.state import RunningStack


def find_local_stack() -> "RunningStack | None":
    """Return this user's running stack, or None; an installation without the stack's packages has none."""
    if find_spec("psutil") is None or find_spec("filelock") is None:
        return None
    from services.stack.config import default_state_dir
    from services.stack.state import read_state

    return read_state(default_state_dir())


@dataclass(frozen=True, slots=True, kw_only=True)
class CliContext:
    """Handed to every command; tests hand in their own."""

    terminal: Terminal
    stdin: TextIO
    settings: CliSettings
    find_stack: "Callable[[], RunningStack | None]" = find_local_stack
    transport: httpx.BaseTransport | None = None
    """Replaces the network."""

    def config(self, judge_url: str | None, agent_url: str | None) -> ClientConfig:
        """Return where to go: the option, else the environment, else the running stack, else its default ports."""
        settings, stack = self.settings, self.find_stack()
        judge = judge_url or settings.judge_url or (stack.judge_url if stack else LOCAL_JUDGE_URL)
        agent = agent_url or settings.agent_url or (stack.agent_url if stack else LOCAL_AGENT_URL)
        return ClientConfig(
            judge_url=str(judge).rstrip("/"),
            agent_url=str(agent).rstrip("/"),
            api_key=settings.api_key,
            timeout_s=settings.timeout_s,
        )

    def client(self, judge_url: str | None, agent_url: str | None) -> TheraloopClient:
        """Return a client for the stack in question."""
        return TheraloopClient(self.config(judge_url, agent_url), transport=self.transport)


def context_of(ctx: typer.Context) -> CliContext:
    """Return what `main` handed in."""
    context = ctx.obj
    if not isinstance(context, CliContext):
        raise TypeError("the command line is entered through services.cli.main")
    return context
