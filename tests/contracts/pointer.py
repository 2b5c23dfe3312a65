"""What every store of the active-checkpoint pointer must do; subclassed once per store."""

import asyncio
from datetime import UTC, datetime

import pytest

from judge_service.checkpoints.pointer import PointerStore, predecessor, successor
from services.contracts.checkpoints import AuditEntry, Pointer, PointerTarget, ReplicaReport
from services.errors import Conflict

FIRST = PointerTarget(version="first", digest="1" * 64)
SECOND = PointerTarget(version="second", digest="2" * 64)
THIRD = PointerTarget(version="third", digest="3" * 64)


def entry(pointer: Pointer, action: str = "activate") -> AuditEntry:
    """Return the audit entry of a change."""
    return AuditEntry(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        action=action,
        version=pointer.target.version,
        digest=pointer.target.digest,
        by="ops",
        replica="one",
        generation=pointer.generation,
    )


def report(replica: str) -> ReplicaReport:
    """Return the report of a replica that holds one adapter."""
    return ReplicaReport(replica=replica, generation=1, serving="a", holds=("a",), engines={"e": True})


class PointerStoreContract:
    """Subclasses give a `store` fixture: a new, empty store."""

    pytestmark = pytest.mark.anyio

    async def test_begins_empty_and_keeps_what_is_written(self, store: PointerStore) -> None:
        assert (await store.read()).pointer is None
        pointer = successor(None, FIRST)
        await store.advance(pointer, entry(pointer))
        assert (await store.read()).pointer == pointer
        assert [kept.version for kept in await store.audit(10)] == ["first"]

    async def test_change_that_builds_on_an_old_generation_is_refused_and_leaves_no_trace(
        self, store: PointerStore
    ) -> None:
        first = successor(None, FIRST)
        await store.advance(first, entry(first))
        second = successor(first, SECOND)
        await store.advance(second, entry(second))
        late = successor(first, THIRD)
        with pytest.raises(Conflict):
            await store.advance(late, entry(late))
        assert (await store.read()).pointer == second
        assert len(await store.audit(10)) == 2

    async def test_of_many_changes_at_once_exactly_one_wins(self, store: PointerStore) -> None:
        changes = [successor(None, PointerTarget(version=f"v{n}", digest=f"{n:064x}")) for n in range(8)]
        results = await asyncio.gather(*(store.advance(c, entry(c)) for c in changes), return_exceptions=True)
        assert sum(result is None for result in results) == 1
        assert all(result is None or isinstance(result, Conflict) for result in results)

    async def test_lost_pointer_is_put_back_but_never_an_older_one(self, store: PointerStore) -> None:
        first = successor(None, FIRST)
        second = successor(first, SECOND)
        assert await store.restore(second)
        assert not await store.restore(first)
        assert not await store.restore(second)
        assert (await store.read()).pointer == second
        assert predecessor(second).target == FIRST

    async def test_retired_content_is_remembered_until_it_is_activated(self, store: PointerStore) -> None:
        pointer = successor(None, FIRST)
        await store.retire(FIRST.digest, entry(pointer, "retire"))
        assert (await store.read()).retired == {FIRST.digest}
        await store.advance(pointer, entry(pointer))
        assert (await store.read()).retired == frozenset()
        assert [kept.action for kept in await store.audit(10)] == ["activate", "retire"]

    async def test_wrong_clocks_decide_nothing(self, store: PointerStore) -> None:
        first = successor(None, FIRST)
        second = successor(first, SECOND)
        await store.advance(first, entry(first).model_copy(update={"at": datetime(2099, 1, 1, tzinfo=UTC)}))
        await store.advance(second, entry(second).model_copy(update={"at": datetime(1970, 1, 1, tzinfo=UTC)}))
        assert (await store.read()).pointer == second
        assert [kept.version for kept in await store.audit(10)] == ["second", "first"]

    async def test_report_comes_back(self, store: PointerStore) -> None:
        assert tuple(await store.exchange(report("one"))) == (report("one"),)
        assert tuple(await store.exchange(report("one"))) == (report("one"),)
