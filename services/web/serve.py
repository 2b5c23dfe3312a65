"""Serve an application with uvicorn: JSON logs, and a stop that lets requests in flight finish."""

from typing import Final

import uvicorn
from fastapi import FastAPI

from services.settings import BindSettings

_KEEP_ALIVE_S: Final = 65
"""Above the 60 s of common load balancers: they close idle connections first, so no request is lost to a race."""
_MAX_HEADER_BYTES: Final = 32 * 1024


def serve(app: FastAPI, bind: BindSettings) -> None:
    """Serve until told to stop (SIGTERM, SIGINT), then drain for `bind.drain_s` at most.

    `configure_logging` was called before.
    """
    uvicorn.run(
        app,
        host=bind.host,
        port=bind.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=bind.drain_s,
        timeout_keep_alive=_KEEP_ALIVE_S,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
    )
