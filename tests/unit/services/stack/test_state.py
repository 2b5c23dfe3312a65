"""Other commands find a running stack, and only a running one."""

import os
from pathlib import Path

import psutil
import pytest

from services.stack.state import RunningStack, clear_state, read_state, write_state

STACK = RunningStack(
    pid=os.getpid(),
    process_started_s=psutil.Process().create_time(),
    model="m",
    model_path=Path("/models/m"),
    fingerprint="f" * 64,
    engine_url="http://127.0.0.1:8100",
    judge_url="http://127.0.0.1:8101",
    agent_url="http://127.0.0.1:8102",
    redis_port=8103,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_state(tmp_path / "state", STACK)
    assert read_state(tmp_path / "state") == STACK


def test_a_cleared_state_is_none_and_clearing_twice_is_no_error(tmp_path: Path) -> None:
    write_state(tmp_path, STACK)
    clear_state(tmp_path)
    clear_state(tmp_path)
    assert read_state(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        STACK.model_copy(update={"pid": 2**22 + 1}).model_dump_json(),
        STACK.model_copy(update={"process_started_s": 1.0}).model_dump_json(),
    ],
    ids=["empty", "no fields", "ended process", "process id reused by another program"],
)
def test_a_stale_or_broken_file_counts_as_no_stack(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    assert read_state(tmp_path) is None
