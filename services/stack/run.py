"""Run the whole local stack: check the machine, provide the model, keep the parts running, stop cleanly.

This is what `theraloop up` and `theraloop demo` call. It runs in the foreground and owns SIGINT and SIGTERM while it
does.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import psutil

from services.engine.provision import ProvisionedModel, provision
from services.stack.config import StackConfig
from services.stack.events import Notice, OnEvent
from services.stack.part import Part
from services.stack.plan import RunSecrets, find_redis_server, plan_parts
from services.stack.preflight import check_machine, inspect_machine
from services.stack.roles import choose_role_adapters
from services.stack.state import RunningStack, clear_state, write_state
from services.stack.supervisor import RestartPolicy, Supervisor

Work = Callable[[RunningStack], Awaitable[None]]


def run_stack(config: StackConfig, on_event: OnEvent, work: Work | None = None) -> None:
    """Run a stack until a stop signal, or until `work` is done.

    Args:
        config: ports, model, memory.
        on_event: called with all that happens; it should return at once.
        work: awaited once when all parts are ready; the stack stops when it returns. None: run until SIGINT or SIGTERM.

    Raises:
        PreflightError: the machine is not ready; nothing was started.
        ProvisionError: the model could not be provided; nothing was started.
        PartFailedError: a part did not start or crashed too often; all parts have been stopped.
        KeyboardInterrupt: a stop signal came before `work` was done; all parts have been stopped.
    """
    check_machine(inspect_machine(config), config)
    model = provision(config.model, config.cache_dir, on_event)
    redis_server = find_redis_server()
    if redis_server is None:
        on_event(Notice("no Redis or Valkey server was found: each service caches in its own process"))
    roles = choose_role_adapters(config.roles, model, on_event)
    parts = plan_parts(config, model, redis_server, RunSecrets(), roles)
    stack = _describe(config, model, has_redis=redis_server is not None)
    asyncio.run(_supervise(parts, stack, config, on_event, work))


async def _supervise(
    parts: list[Part], stack: RunningStack, config: StackConfig, on_event: OnEvent, work: Work | None
) -> None:
    loop = asyncio.get_running_loop()

    async def when_ready() -> None:
        write_state(config.state_dir, stack)
        await (asyncio.Event().wait() if work is None else work(stack))

    supervised = asyncio.create_task(Supervisor(on_event, RestartPolicy()).run(parts, when_ready))

    def stop() -> None:
        # Once: a second Ctrl-C must not interrupt the stopping itself.
        if not supervised.cancelling():
            supervised.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await asyncio.wait({supervised})
        if not supervised.cancelled():
            supervised.result()
        elif work is not None:
            raise KeyboardInterrupt
    finally:
        clear_state(config.state_dir)


def _describe(config: StackConfig, model: ProvisionedModel, *, has_redis: bool) -> RunningStack:
    process, ports = psutil.Process(os.getpid()), config.ports
    return RunningStack(
        pid=process.pid,
        process_started_s=process.create_time(),
        model=model.name,
        model_path=model.path,
        fingerprint=model.fingerprint,
        engine_url=f"http://127.0.0.1:{ports.engine}",
        judge_url=f"http://127.0.0.1:{ports.judge}",
        agent_url=f"http://127.0.0.1:{ports.agent}",
        redis_port=ports.redis if has_redis else None,
    )
