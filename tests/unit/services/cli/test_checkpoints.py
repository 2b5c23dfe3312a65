"""`theraloop checkpoints`: what is asked of the judge, and what an operator reads."""

import json
from datetime import UTC, datetime

import pytest

from services.contracts.checkpoints import (
    AuditEntry,
    CheckpointList,
    CheckpointState,
    CheckpointView,
    Pointer,
    PointerTarget,
    ReplicaReport,
)
from services.contracts.dimensions import DIMENSIONS
from tests.support.canned_answers import Answer, json_answer, problem_answer
from tests.unit.services.cli.conftest import Run

DIGEST = "a" * 64
GOOD = CheckpointView(
    version="judge-2",
    label="judge-2-aaaaaaaaaaaa",
    digest=DIGEST,
    state=CheckpointState.ACTIVE,
    present=True,
    promotable=True,
    metrics=dict.fromkeys(DIMENSIONS, 0.8) | {DIMENSIONS[3]: 0.64},
)
BAD = CheckpointView(
    version="judge-3",
    label=None,
    digest=None,
    state=CheckpointState.REJECTED,
    reason="digest_mismatch",
    detail="adapter_model.safetensors is not what the manifest says",
    present=True,
)
ALL = CheckpointList(
    active="judge-2-aaaaaaaaaaaa",
    replica="here",
    pointer=Pointer(generation=4, target=PointerTarget(version="judge-2", digest=DIGEST)),
    pointer_store="redis",
    pointer_reachable=True,
    checkpoints=(GOOD, BAD),
    replicas=(ReplicaReport(replica="here", generation=4, serving="judge-2-aaaaaaaaaaaa", holds=(), engines={}),),
    audit=(
        AuditEntry(
            at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            action="activate",
            version="judge-2",
            digest=DIGEST,
            by="ops",
            replica="here",
            generation=4,
        ),
    ),
)


def test_list_tells_what_serves_what_was_rejected_and_who_changed_it(run: Run) -> None:
    ended = run("checkpoints", "list", answers=(json_answer(ALL),))
    assert ended.code == 0
    for told in (
        "serving judge-2-aaaaaaaaaaaa",
        "generation 4",
        "0.64 (safety)",
        "rejected",
        "activate judge-2 by ops",
    ):
        assert told in ended.out


def test_list_as_json_is_the_apis_answer(run: Run) -> None:
    ended = run("checkpoints", "list", "--json", answers=(json_answer(ALL),))
    assert CheckpointList.model_validate_json(ended.out) == ALL


@pytest.mark.parametrize(
    ("arguments", "answer", "path", "body"),
    [
        pytest.param(
            ["activate", "judge-2"], json_answer(GOOD), "/checkpoints/judge-2/activate", {"force": False}, id="activate"
        ),
        pytest.param(
            ["activate", "judge-2", "--force"],
            json_answer(GOOD),
            "/checkpoints/judge-2/activate",
            {"force": True},
            id="activate by force",
        ),
        pytest.param(
            ["rollback", "--from", "judge-2"],
            json_answer(ALL),
            "/checkpoints/rollback",
            {"from_version": "judge-2"},
            id="roll back",
        ),
        pytest.param(["retire", "judge-2"], json_answer(GOOD), "/checkpoints/judge-2/retire", None, id="retire"),
    ],
)
def test_a_change_is_asked_for_once_and_its_outcome_shown(
    run: Run, arguments: list[str], answer: Answer, path: str, body: object
) -> None:
    ended = run("checkpoints", *arguments, answers=(answer,))
    assert ended.code == 0
    (request,) = ended.script.requests
    assert (request.method, request.url.path) == ("POST", path)
    assert (json.loads(request.content) if request.content else None) == body
    assert "judge-2" in ended.out


def test_a_refused_change_is_one_line_and_a_failure(run: Run) -> None:
    ended = run("checkpoints", "activate", "judge-9", answers=(problem_answer(404, "not-found"),))
    assert ended.code != 0
    assert ended.err.startswith("error: ")
    assert len(ended.err.splitlines()) == 1
