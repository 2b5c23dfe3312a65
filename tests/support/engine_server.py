"""The engine in memory behind vLLM's HTTP interface, on a real port: judges reach it by their own client."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from services.deadline import Deadline
from services.errors import Conflict, EngineMalformed, EngineUnavailable, NotFound, ServiceError
from services.llm.port import CompletionRequest
from tests.support.fake_engine import FakeEngine

_STATUS = {NotFound: 404, Conflict: 400, EngineMalformed: 400, EngineUnavailable: 503}
_PATIENCE_S = 60.0


@contextmanager
def engine_over_http(engine: FakeEngine) -> Iterator[str]:
    """Serve `engine` until the block ends and give its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Connections made before the server accepts wait in the socket's queue.
        server = uvicorn.Server(uvicorn.Config(_app(engine), log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _app(engine: FakeEngine) -> FastAPI:
    app = FastAPI()

    @app.exception_handler(ServiceError)
    async def refuse(_: Request, error: ServiceError) -> JSONResponse:
        return JSONResponse({"error": {"message": error.detail}}, _STATUS[type(error)])

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"data": [{"id": name} for name in await engine.models(_soon())]}

    @app.post("/v1/load_lora_adapter")
    def load(body: dict[str, str]) -> PlainTextResponse:
        # In a worker thread: a test may hold the load up while the engine goes on answering.
        asyncio.run(engine.load_adapter(body["lora_name"], body["lora_path"], _soon()))
        return PlainTextResponse("loaded")

    @app.post("/v1/unload_lora_adapter")
    async def unload(body: dict[str, str]) -> PlainTextResponse:
        await engine.unload_adapter(body["lora_name"], _soon())
        return PlainTextResponse("unloaded")

    @app.post("/v1/completions")
    async def complete(body: dict[str, Any]) -> dict[str, Any]:
        request = CompletionRequest(
            kind="test",
            model=body["model"],
            prompt_ids=tuple(body["prompt"]),
            max_tokens=body["max_tokens"],
            allowed_token_ids=tuple(body["allowed_token_ids"]),
            logprobs=body["logprobs"],
        )
        result = await engine.complete(request, _soon())
        (choice,) = result.choices
        tops = [{f"token_id:{token}": logprob for token, logprob in top.items()} for top in choice.top_logprobs]
        return {
            "choices": [
                {
                    "index": 0,
                    "text": choice.text,
                    "token_ids": list(choice.token_ids),
                    "finish_reason": choice.finish_reason,
                    "logprobs": {"top_logprobs": tops},
                }
            ],
            "usage": {"prompt_tokens": result.usage.prompt_tokens, "completion_tokens": result.usage.completion_tokens},
        }

    return app


def _soon() -> Deadline:
    return Deadline.after(_PATIENCE_S)
