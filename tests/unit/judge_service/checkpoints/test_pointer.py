import pytest

from judge_service.checkpoints.pointer import TRAIL_KEPT, InProcessPointer, predecessor, successor
from services.contracts.checkpoints import Pointer, PointerTarget
from services.errors import Conflict
from tests.contracts.pointer import FIRST, PointerStoreContract


class TestInProcessPointer(PointerStoreContract):
    @pytest.fixture
    def store(self) -> InProcessPointer:
        return InProcessPointer()


def test_trail_is_bounded_and_rollback_walks_back_along_it() -> None:
    pointer: Pointer | None = None
    for number in range(TRAIL_KEPT * 2):
        pointer = successor(pointer, PointerTarget(version=f"v{number}", digest=f"{number:064x}"))
    assert pointer is not None
    assert len(pointer.trail) == TRAIL_KEPT
    back = predecessor(predecessor(pointer))
    assert (back.target.version, back.generation) == (f"v{TRAIL_KEPT * 2 - 3}", pointer.generation + 2)


def test_nothing_before_the_first_to_go_back_to() -> None:
    with pytest.raises(Conflict):
        predecessor(successor(None, FIRST))
