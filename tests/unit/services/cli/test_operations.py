"""`status`, `keys` and `model`, and what `up` runs by default."""

import base64
import inspect
import json
import stat
from pathlib import Path

import httpx
import pytest

from services.cli.commands import stack as stack_commands
from services.cli.views.stack import event_line
from services.engine.progress import Progress
from services.stack.config import StackConfig
from services.stack.events import Notice, PartCrashed, PartLog, PartReady, PartStarting, PartStopped, StackEvent
from services.web.keys import KeyFile, digest_of, read_key_file
from tests.support.canned_answers import Answer, json_answer, readiness
from tests.unit.services.cli.conftest import Run

_REFUSED = [httpx.ConnectError("refused")] * 3


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        pytest.param([json_answer(readiness())] * 2, 0, id="all ready"),
        pytest.param([json_answer(readiness("degraded"))] * 2, 0, id="an optional part is down"),
        pytest.param([json_answer(readiness()), json_answer(readiness("unready"), 503)], 5, id="agent unready"),
        pytest.param([json_answer(readiness()), *_REFUSED], 5, id="agent down"),
        pytest.param(_REFUSED * 2, 3, id="nothing there"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
def test_status_tells_by_exit_code_too(run: Run, answers: list[Answer], code: int, as_json: bool) -> None:
    ended = run("status", *(["--json"] if as_json else []), answers=tuple(answers))
    assert ended.code == code
    if as_json:
        assert [one["service"] for one in json.loads(ended.out)["services"]] == ["judge", "agent"]
    else:
        assert "judge" in ended.out


def test_a_new_key_without_a_file_prints_a_key_file_and_says_the_secret_beside_it(run: Run, tmp_path: Path) -> None:
    ended = run("keys", "new", "app", "--scope", "evaluate")
    file = tmp_path / "keys.json"
    file.write_text(ended.out, encoding="utf-8")
    (record,) = read_key_file(file)
    secret = ended.err.split()[-1]
    assert (record.name, record.scopes, record.sha256) == ("app", ("evaluate",), digest_of(secret))
    assert secret not in ended.out


def test_new_keys_are_added_to_a_file_that_only_its_owner_reads(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    secrets = [run("keys", "new", name, "--file", str(file)).out.strip() for name in ("one", "two")]
    assert [record.sha256 for record in read_key_file(file)] == [digest_of(secret) for secret in secrets]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "content", "mend"),
    [
        pytest.param("UPPER", None, "a-z", id="bad name"),
        pytest.param("app", KeyFile(keys=()).model_dump_json() + "x", "not valid", id="no key file"),
        pytest.param(
            "app",
            '{"keys": [{"name": "app", "sha256": "%s", "scopes": ["admin"]}]}' % ("0" * 64),
            "another",
            id="taken",
        ),
    ],
)
def test_a_key_that_cannot_be_added_changes_nothing(
    run: Run, name: str, content: str | None, mend: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    ended = run("keys", "new", name, "--file", str(file))
    assert (ended.code, ended.out) == (2, "")
    assert mend in ended.err
    assert (file.read_text(encoding="utf-8") if file.exists() else None) == content


def test_the_cache_key_has_32_bytes(run: Run) -> None:
    assert len(base64.b64decode(run("keys", "cache").out.strip(), validate=True)) == 32


def test_up_and_demo_run_the_stack_of_the_library_by_default() -> None:
    defaults = StackConfig()
    chosen = {
        "model": defaults.model,
        "device": defaults.device,
        "window_tokens": defaults.window_tokens,
        "kv_cache_gib": defaults.kv_cache_gib,
        "engine_port": defaults.ports.engine,
        "judge_port": defaults.ports.judge,
        "agent_port": defaults.ports.agent,
        "redis_port": defaults.ports.redis,
        "keep": False,
    }
    for command in (stack_commands.up, stack_commands.demo):
        parameters = inspect.signature(command).parameters
        offered = {name: one.default for name, one in parameters.items() if name != "ctx"}
        assert offered == {name: chosen[name] for name in offered}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Progress("download", "model parts", 2, 4), "stack  | download: model parts (2 of 4)"),
        (Notice("no Redis"), "stack  | no Redis"),
        (PartStarting("judge"), "judge  | starting"),
        (PartReady("engine", 52.04), "engine | ready after 52.0 s"),
        (PartCrashed("agent", -9, 4.0), "agent  | ended with status -9; starts again in 4 s"),
        (PartStopped("redis"), "redis  | stopped"),
        (PartLog("engine", "INFO plain \x1b[1mline"), "engine | INFO plain \ufffd[1mline"),
        (PartLog("judge", '{"event": "ready", "level": "info", "port": 1}'), "judge  | info ready port=1"),
        (PartLog("judge", "[1, 2]"), "judge  | [1, 2]"),
    ],
    ids=str,
)
def test_what_happens_in_a_stack_is_one_readable_line(event: StackEvent, line: str) -> None:
    assert event_line(event).plain == line
