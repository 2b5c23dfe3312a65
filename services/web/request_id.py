"""The id of a request:

taken from the caller when it is sane, else made here; the same one on every hop, log line and answer.
"""

import re
import uuid
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

HEADER: Final = "X-Request-ID"
_SANE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def accept_or_make(headers: Headers) -> str:
    """Return the caller's id if it is 1 to 64 plain characters, else a new one."""
    offered = headers.get(HEADER, "")
    return offered if _SANE.fullmatch(offered) else uuid.uuid4().hex


def request_id_of(scope: Scope) -> str:
    """Return the id that the outermost middleware gave this request."""
    request_id: str = scope["state"]["request_id"]
    return request_id
