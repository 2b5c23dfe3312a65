"""Options that several commands take, spelled once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Context = Annotated[
    str | None, typer.Option("--context", "-c", help="What the person said; text, or a JSON list of turns.")
]
ContextFile = Annotated[
    Path | None, typer.Option("--context-file", metavar="FILE", help="The same from a file; - is standard input.")
]
ResponseFile = Annotated[
    Path | None, typer.Option("--response-file", metavar="FILE", help="The reply from a file; - is standard input.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, as the API gives it.")]
JudgeUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Judge to ask instead of the local stack's (THERALOOP_JUDGE_URL).")
]
AgentUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Agent to ask instead of the local stack's (THERALOOP_AGENT_URL).")
]

Model = Annotated[str, typer.Option(help="`embedded`, a model folder, or a hub id.")]
Device = Annotated[Literal["cpu", "gpu"], typer.Option(help="What the engine computes on.")]
WindowTokens = Annotated[int, typer.Option(min=512, help="The engine's window (tokens): prompt and completion.")]
KvCacheGib = Annotated[int, typer.Option(min=1, help="GiB of the engine's KV cache on CPU.")]
EnginePort = Annotated[int, typer.Option(min=1, max=65535, help="Loopback port of vLLM's server.")]
JudgePort = Annotated[int, typer.Option(min=1, max=65535, help="Loopback port of the judge.")]
AgentPort = Annotated[int, typer.Option(min=1, max=65535, help="Loopback port of the agent.")]
RedisPort = Annotated[int, typer.Option(min=1, max=65535, help="Loopback port of Redis.")]
