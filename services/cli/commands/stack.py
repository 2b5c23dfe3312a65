"""`theraloop up` and `theraloop demo`: run the local stack, or show what it does with one real draft."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.cli import options
from services.cli.context import context_of
from services.cli.errors import UsageProblem
from services.cli.terminal import Terminal
from services.cli.views.refinement import refinement_view, stage_text
from services.cli.views.stack import addresses_view, event_line
from services.client import AsyncTheraloopClient, ClientConfig
from services.contracts.refine import RefineRequest
from services.stack.events import PartLog, StackEvent

if TYPE_CHECKING:
    from services.stack.config import StackConfig
    from services.stack.state import RunningStack

_KEPT_LOG_LINES: Final = 20
DEMO_DRAFT: Final = RefineRequest(
    context="My dog died last night and the flat is so quiet. I don't know what to do with myself.",
    response="Pets die. You can get another one.",
    max_rounds=2,
    candidates=4,
    deadline_ms=120_000,
    trace=True,
)


def up(
    ctx: typer.Context,
    model: options.Model = "embedded",
    device: options.Device = "cpu",
    window_tokens: options.WindowTokens = 2048,
    kv_cache_gib: options.KvCacheGib = 1,
    engine_port: options.EnginePort = 8100,
    judge_port: options.JudgePort = 8101,
    agent_port: options.AgentPort = 8102,
    redis_port: options.RedisPort = 8103,
) -> None:
    """Run the stack in the foreground until Ctrl-C."""
    from services.stack.config import Ports, StackConfig
    from services.stack.run import run_stack

    context = context_of(ctx)
    if (running := context.find_stack()) is not None:
        raise UsageProblem(f"a stack runs already (process {running.pid}); `theraloop status` shows it")
    terminal = context.terminal
    ports = Ports(engine=engine_port, judge=judge_port, agent=agent_port, redis=redis_port)
    config = StackConfig(
        model=model, device=device, window_tokens=window_tokens, kv_cache_gib=kv_cache_gib, ports=ports
    )

    async def announce(stack: "RunningStack") -> None:
        terminal.show("", addresses_view(stack), "", "the stack is ready; Ctrl-C stops it", "")
        await asyncio.Event().wait()

    run_stack(config, lambda event: terminal.line(event_line(event)), announce)


def demo(
    ctx: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running until Ctrl-C.")] = False,
    model: options.Model = "embedded",
    engine_port: options.EnginePort = 8100,
    judge_port: options.JudgePort = 8101,
    agent_port: options.AgentPort = 8102,
    redis_port: options.RedisPort = 8103,
) -> None:
    """Start the stack, judge and refine one cold draft, show scores and trace, stop the stack."""
    from services.stack.config import Ports, StackConfig

    context = context_of(ctx)
    if (running := context.find_stack()) is not None:
        context.terminal.note("a stack runs already: the demo uses it")
        asyncio.run(_show_one_draft(context.terminal, running))
        return
    ports = Ports(engine=engine_port, judge=judge_port, agent=agent_port, redis=redis_port)
    _run_demo(context.terminal, StackConfig(model=model, ports=ports), keep=keep)


def _run_demo(terminal: Terminal, config: "StackConfig", *, keep: bool) -> None:
    from services.stack.errors import PartFailedError
    from services.stack.run import run_stack

    finished = False

    async def work(stack: "RunningStack") -> None:
        nonlocal finished
        await _show_one_draft(terminal, stack)
        finished = True
        if keep:
            terminal.show("the stack keeps running; Ctrl-C stops it")
            await asyncio.Event().wait()

    with terminal.waiting("checking the machine") as tell:
        progress = _StartProgress(terminal, tell)
        try:
            run_stack(config, progress.on_event, work)
        except PartFailedError:
            progress.show_kept_logs()
            raise
    if not finished:
        raise KeyboardInterrupt


class _StartProgress:
    """Shows a start in a few lines; log lines are kept back unless a part fails."""

    def __init__(self, terminal: Terminal, tell: Callable[[str], None]) -> None:
        self._terminal = terminal
        self._tell = tell
        self._logs: deque[PartLog] = deque(maxlen=_KEPT_LOG_LINES)

    def on_event(self, event: StackEvent) -> None:
        if isinstance(event, PartLog):
            self._logs.append(event)
            return
        line = event_line(event)
        self._terminal.note(line)
        self._tell(line.plain)

    def show_kept_logs(self) -> None:
        for event in self._logs:
            self._terminal.note(event_line(event))


async def _show_one_draft(terminal: Terminal, stack: "RunningStack") -> None:
    terminal.note("judging and refining one draft")
    config = ClientConfig(judge_url=stack.judge_url, agent_url=stack.agent_url)
    async with AsyncTheraloopClient(config) as client, aclosing(client.refine_events(DEMO_DRAFT)) as events:
        async for event in events:
            if event.refinement is None:
                terminal.note(stage_text(event))
            else:
                said = f"the person said: {DEMO_DRAFT.context}"
                terminal.show("", said, refinement_view(event.refinement, DEMO_DRAFT.response))
    terminal.show("", "the APIs", addresses_view(stack), "")
