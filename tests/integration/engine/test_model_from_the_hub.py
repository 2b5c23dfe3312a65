"""A model by its hub id: the hub's own client against a loopback server that speaks its protocol; no network beyond."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.engine.fingerprint import fingerprint_model

pytestmark = pytest.mark.integration

HUB_ID = "someone/tiny-model"
COMMIT = "c0ffee" + "0" * 34
FILES = {
    "config.json": b'{"architectures": ["Tiny"]}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "model.safetensors": bytes(range(256)) * 64,
    "pytorch_model.bin": b"pickled: never wanted",
}


class _Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: set[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.path.startswith(f"/api/models/{HUB_ID}/revision/"):
            siblings = [{"rfilename": name} for name in FILES]
            content = json.dumps({"id": HUB_ID, "modelId": HUB_ID, "sha": COMMIT, "siblings": siblings}).encode()
        elif self.path.startswith(f"/api/models/{HUB_ID}/tree/{COMMIT}"):
            files = [{"type": "file", "path": name, "size": len(FILES[name]), "oid": "0" * 40} for name in FILES]
            content = json.dumps(files).encode()
        elif found := re.fullmatch(rf"/{HUB_ID}/resolve/\w+/([\w.]+)", self.path):
            content = FILES[found[1]]
            self.asked.add(found[1])
        else:
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"}, body=body)
        tag = hashlib.sha256(content).hexdigest()
        self._send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}, body=body)
        return None

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    _Hub.asked = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def _provision(hub: str, hub_id: str, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment = kept | {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "services.cli", "model", "provision", hub_id]
    return subprocess.run(
        command, env=environment | {"XDG_CACHE_HOME": str(folder)}, capture_output=True, text=True, check=False
    )


def test_its_files_arrive_without_pickles_and_get_the_fingerprint_of_their_content(hub: str, tmp_path: Path) -> None:
    result = _provision(hub, HUB_ID, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert _Hub.asked == set(FILES) - {"pytorch_model.bin"}
    same = tmp_path / "same"
    same.mkdir()
    for name in _Hub.asked:
        (same / name).write_bytes(FILES[name])
    assert fingerprint_model(same, tmp_path / "cache") in result.stdout


def test_a_name_that_the_hub_does_not_know_is_one_line_with_the_mend(hub: str, tmp_path: Path) -> None:
    result = _provision(hub, "someone/unknown", tmp_path)
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert result.stderr.strip().endswith(said[0])
    assert "is the name right" in said[0]
