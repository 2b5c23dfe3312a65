"""A judge whose registry is a mirror: it starts on what is listed, takes what arrives, and needs no remote to serve."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from services.checkpoint.index import RegistryIndex
from services.errors import DependencyUnavailable
from tests.unit.judge_service.checkpoints.conftest import Replica, World
from trainer.packaging.index import write_index

pytestmark = pytest.mark.anyio


class FolderSource:
    """Implements `CheckpointSource` over a folder beside the registry."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.down = False

    async def index(self) -> RegistryIndex | None:
        if self.down:
            raise DependencyUnavailable("the remote registry does not answer")
        return write_index(self.root)

    async def fetch(self, version: str, name: str, size_bytes: int, target: Path) -> None:
        shutil.copyfile(self.root / version / name, target)


@pytest.fixture
def source(world: World) -> FolderSource:
    root = world.root.with_name("published")
    root.mkdir()
    return FolderSource(root)


def _publish(world: World, source: FolderSource, version: str, score: float) -> str:
    return replace(world, root=source.root).add(version, score)


async def _until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not true():  # noqa: ASYNC110 - the judge's own loops make it true
            await anyio.sleep(0.01)


def _mirrored(world: World, source: FolderSource, **settings: object) -> Replica:
    return world.replica("one", {"remote_url": "http://remote/registry", "poll_s": 0.01, **settings}, source)


async def test_start_waits_for_the_first_pull_and_serves_the_newest_listed(world: World, source: FolderSource) -> None:
    _publish(world, source, "first", 3.0)
    label = _publish(world, source, "second", 4.0)
    replica = _mirrored(world, source, promotion="by_hand")
    async with replica.hot.running():
        await _until(lambda: replica.serving is not None)
        assert replica.serving == label


async def test_what_is_published_while_it_runs_is_pulled_and_promoted(world: World, source: FolderSource) -> None:
    _publish(world, source, "first", 3.0)
    replica = _mirrored(world, source, rescan_s=0.01)
    async with replica.hot.running():
        await _until(lambda: replica.serving is not None)
        label = _publish(world, source, "second", 4.0)
        await _until(lambda: replica.serving == label)


async def test_remote_that_is_down_is_told_and_what_was_pulled_serves(world: World, source: FolderSource) -> None:
    label = world.add("first", 3.0)
    source.down = True
    replica = _mirrored(world, source)
    async with replica.hot.running():
        await _until(lambda: replica.serving is not None)
        everything = await replica.hot.catalogue.all()
    assert (everything.active, everything.registry_trouble) == (label, "the remote registry does not answer")
    assert replica.registry.get_sample_value("theraloop_checkpoint_registry_mirrored") == 0.0
