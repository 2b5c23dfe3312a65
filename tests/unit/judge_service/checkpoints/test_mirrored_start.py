"""A judge whose registry is a mirror: it starts on what is listed, takes what arrives, and needs no remote to serve."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from prometheus_client import CollectorRegistry

from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.checkpoints.mirror import Mirror
from judge_service.settings import CheckpointSettings
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
        self.breaks_off = False
        self.spoilt: set[str] = set()
        self.fetched: list[str] = []

    async def index(self) -> RegistryIndex | None:
        if self.down:
            raise DependencyUnavailable("the remote registry does not answer")
        return write_index(self.root)  # each time, as a server does that sends no validators

    async def fetch(self, version: str, name: str, size_bytes: int, target: Path) -> None:
        self.fetched.append(f"{version}/{name}")
        content = (self.root / version / name).read_bytes()
        if self.breaks_off:
            await anyio.Path(target).write_bytes(content[:-1])
            raise DependencyUnavailable(f"{name} broke off")
        await anyio.Path(target).write_bytes(b"x" * len(content) if version in self.spoilt else content)


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


def _mirror(world: World, source: FolderSource, **settings: object) -> Mirror:
    values = {"folder": world.root, "remote_url": "http://remote/registry", **settings}
    options = CheckpointSettings.model_validate(values)
    return Mirror(source, world.root, options, CheckpointMetrics(CollectorRegistry()))


async def test_refused_one_is_not_fetched_again_from_an_index_that_is_sent_anew_but_is_the_same(
    world: World, source: FolderSource
) -> None:
    _publish(world, source, "bad", 3.0)
    source.spoilt.add("bad")
    mirror = _mirror(world, source)
    await mirror.round()
    assert "digest_mismatch" in (mirror.trouble or "")
    fetched = len(source.fetched)
    await mirror.round()
    assert len(source.fetched) == fetched
    assert "digest_mismatch" in (mirror.trouble or "")
    source.spoilt.clear()
    _publish(world, source, "good", 4.0)
    await mirror.round()
    assert (mirror.trouble, (world.root / "bad").is_dir(), (world.root / "good").is_dir()) == (None, True, True)


async def test_what_was_begun_of_a_checkpoint_is_not_counted_beside_it(world: World, source: FolderSource) -> None:
    _publish(world, source, "first", 3.0)
    (entry,) = write_index(source.root).checkpoints
    (world.root / "other").mkdir()
    with (world.root / "other" / "large").open("wb") as file:
        file.truncate((1 << 20) - entry.size_bytes)
    mirror = _mirror(world, source, remote_max_mib=1)
    source.breaks_off = True
    await mirror.round()
    assert "broke off" in (mirror.trouble or "")
    source.breaks_off = False
    await mirror.round()
    assert (mirror.trouble, (world.root / "first").is_dir()) == (None, True)


async def test_remote_that_is_down_is_told_and_what_was_pulled_serves(world: World, source: FolderSource) -> None:
    label = world.add("first", 3.0)
    source.down = True
    replica = _mirrored(world, source)
    async with replica.hot.running():
        await _until(lambda: replica.serving is not None)
        everything = await replica.hot.catalogue.all()
    assert (everything.active, everything.registry_trouble) == (label, "the remote registry does not answer")
    assert replica.registry.get_sample_value("theraloop_checkpoint_registry_mirrored") == 0.0
