"""A real HTTP server over a folder, as object stores are: entity tags, byte ranges; and faults that a test asks for."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_RANGE = re.compile(r"bytes=(\d+)-$")


@dataclass
class FileServer:
    """What the server gives, and what it was asked.

    Attributes:
        root: the folder that it serves.
        instead: content for a path, in place of the file's.
        breaks_after: bytes of a path's next answer after which the connection ends; then it is mended.
        statuses: status for a path, in place of an answer.
        ranges: whether it knows byte ranges; a server may do without.
        asked: path, status and first byte of each answer.
        authorizations: what came with each request that had any.
    """

    root: Path
    url: str = ""
    instead: dict[str, bytes] = field(default_factory=dict)
    breaks_after: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    @property
    def authorization(self) -> str:
        """What came with the last request that had any."""
        return self.authorizations[-1] if self.authorizations else ""

    def answers_for(self, path: str) -> list[tuple[int, int]]:
        """Return status and first byte of each answer for a path."""
        return [(status, first) for asked, status, first in self.asked if asked == path]


@contextmanager
def serving(root: Path) -> Iterator[FileServer]:
    """Serve `root` on a free loopback port until the block ends."""
    files = FileServer(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files))
    server.daemon_threads = True
    files.url = f"http://127.0.0.1:{server.server_address[1]}/registry"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(files: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.removeprefix("/registry/")
            if authorization := self.headers.get("Authorization"):
                files.authorizations.append(authorization)
            content = files.instead.get(path)
            if content is None and (files.root / path).is_file():
                content = (files.root / path).read_bytes()
            if path in files.statuses or content is None:
                return self._end(path, files.statuses.get(path, 404))
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == tag:
                return self._end(path, 304)
            self._give(path, content, tag)
            return None

        def _give(self, path: str, content: bytes, tag: str) -> None:
            wanted = _RANGE.match(self.headers.get("Range", "")) if files.ranges else None
            first = int(wanted[1]) if wanted else 0
            if wanted and first >= len(content):
                return self._end(path, 416)
            files.asked.append((path, 206 if wanted else 200, first))
            self.send_response(206 if wanted else 200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(content) - first))
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            stop = files.breaks_after.pop(path, None)
            self.wfile.write(content[first : None if stop is None else first + stop])
            self.close_connection = stop is not None
            return None

        def _end(self, path: str, status: int) -> None:
            files.asked.append((path, status, 0))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
