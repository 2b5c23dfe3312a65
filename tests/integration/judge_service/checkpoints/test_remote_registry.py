"""The mirror over a real HTTP server: what arrives, what is refused, and that nothing which is here is ever touched."""

import asyncio
import json
import re
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.checkpoints.mirror import Mirror
from judge_service.checkpoints.registry import FolderRegistry
from judge_service.checkpoints.remote import HttpSource
from judge_service.settings import CheckpointSettings
from services.checkpoint.folder import verify_folder
from services.checkpoint.manifest import ADAPTER_FILE, GOLDEN_FILE, MANIFEST_FILE
from tests.support.checkpoint_folders import write_checkpoint
from tests.support.file_server import FileServer, serving
from trainer.packaging.index import write_index

pytestmark = [pytest.mark.integration, pytest.mark.anyio]
RANK = 256
"""Makes an adapter file of eight kilobytes: long enough to break off within."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    root = tmp_path / "published"
    root.mkdir()
    with serving(root) as files:
        yield files


@dataclass
class Puller:
    """One judge's mirror."""

    mirror: Mirror
    folder: Path
    registry: CollectorRegistry

    async def shown(self) -> list[str]:
        return list(await FolderRegistry(self.folder, rescan_s=60.0).scan())

    def count(self, outcome: str) -> float:
        return self.registry.get_sample_value("theraloop_checkpoint_pulls_total", {"outcome": outcome}) or 0.0

    @property
    def hidden(self) -> list[str]:
        return [path.name for path in self.folder.glob(".pull-*.partial")]


MakePuller = Callable[..., Puller]


@pytest.fixture
async def make_puller(server: FileServer, tmp_path: Path) -> AsyncIterator[MakePuller]:
    async with httpx.AsyncClient() as http:

        def make(**change: object) -> Puller:
            folder, registry = tmp_path / "cache", CollectorRegistry()
            values = {"folder": folder, "remote_url": server.url, **change}
            settings = CheckpointSettings.model_validate(values)
            assert settings.remote_url is not None
            source = HttpSource(settings.remote_url, http, s3_region=settings.remote_s3_region)
            return Puller(Mirror(source, folder, settings, CheckpointMetrics(registry)), folder, registry)

        yield make


def _publish(server: FileServer, version: str, rank: int = RANK) -> Path:
    write_checkpoint(server.root / version, rank=rank)
    write_index(server.root)
    return server.root / version


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _edit_index(server: FileServer, edit: Callable[[dict[str, object]], None]) -> None:
    content = json.loads((server.root / "index.json").read_bytes())
    edit(content["checkpoints"][0])
    (server.root / "index.json").write_text(json.dumps(content))


async def test_what_is_listed_arrives_whole_and_an_unchanged_index_costs_one_conditional_request(
    server: FileServer, make_puller: MakePuller
) -> None:
    puller = make_puller()
    first = _publish(server, "v1")
    await puller.mirror.round()
    _publish(server, "v2", rank=8)
    await puller.mirror.round()
    assert await puller.shown() == ["v2", "v1"]
    verify_folder(puller.folder / "v1", max_adapter_bytes=1 << 20)
    assert (puller.folder / "v1").stat().st_mtime_ns == first.stat().st_mtime_ns
    assert (puller.count("pulled"), puller.mirror.trouble, puller.hidden) == (2.0, None, [])
    server.asked.clear()
    await puller.mirror.round()
    assert server.asked == [("index.json", 304, 0)]


@pytest.mark.parametrize(("ranges", "again"), [(True, (206, 5000)), (False, (200, 0))], ids=["ranges", "no ranges"])
async def test_download_that_broke_off_goes_on_where_it_stopped_even_after_a_restart(
    server: FileServer, make_puller: MakePuller, ranges: bool, again: tuple[int, int]
) -> None:
    _publish(server, "v1")
    server.ranges = ranges
    server.breaks_after[f"v1/{ADAPTER_FILE}"] = 5000
    puller = make_puller()
    await puller.mirror.round()
    assert await puller.shown() == []
    assert "does not answer: RemoteProtocolError" in (puller.mirror.trouble or "")
    restarted = make_puller()
    await restarted.mirror.round()
    assert await restarted.shown() == ["v1"]
    assert server.answers_for(f"v1/{ADAPTER_FILE}") == [(200, 0), again]
    verify_folder(restarted.folder / "v1", max_adapter_bytes=1 << 20)


async def test_resumed_file_that_does_not_fit_together_is_pulled_anew(
    server: FileServer, make_puller: MakePuller
) -> None:
    whole = _publish(server, "v1") / ADAPTER_FILE
    path = f"v1/{ADAPTER_FILE}"
    server.instead[path] = b"x" * whole.stat().st_size
    server.breaks_after[path] = 5000
    puller = make_puller()
    await puller.mirror.round()
    del server.instead[path]
    await puller.mirror.round()
    assert await puller.shown() == ["v1"]
    assert server.answers_for(path) == [(200, 0), (206, 5000), (200, 0)]


def _other_content(server: FileServer) -> None:
    size = (server.root / "bad" / ADAPTER_FILE).stat().st_size
    server.instead[f"bad/{ADAPTER_FILE}"] = b"x" * size


def _longer(server: FileServer) -> None:
    server.instead[f"bad/{GOLDEN_FILE}"] = b"x" * (1 << 20)


def _shorter(server: FileServer) -> None:
    server.instead[f"bad/{GOLDEN_FILE}"] = b"x"


def _huge_adapter(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry["files"][ADAPTER_FILE].update(size_bytes=5 << 30))  # type: ignore[index]


def _huge_manifest(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry["files"][MANIFEST_FILE].update(size_bytes=10 << 30))  # type: ignore[index]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(_other_content, "digest_mismatch", id="another content"),
        pytest.param(_shorter, "digest_mismatch", id="shorter than listed"),
        pytest.param(_longer, "oversize", id="longer than listed"),
        pytest.param(_huge_adapter, "oversize", id="an adapter above the limit"),
        pytest.param(_huge_manifest, "oversize", id="a manifest of ten gigabytes"),
    ],
)
async def test_bad_one_is_refused_once_and_keeps_nobody_else(
    server: FileServer, make_puller: MakePuller, spoil: Callable[[FileServer], None], reason: str
) -> None:
    _publish(server, "good")
    _publish(server, "bad")
    spoil(server)
    puller = make_puller()
    await puller.mirror.round()
    assert await puller.shown() == ["good"]
    assert f"({reason})" in (puller.mirror.trouble or "")
    assert (puller.count(reason), puller.hidden) == (1.0, [])
    server.asked.clear()
    await puller.mirror.round()
    assert server.asked == [("index.json", 304, 0)]
    assert f"({reason})" in (puller.mirror.trouble or "")


async def test_file_that_comes_after_its_index_is_waited_for(server: FileServer, make_puller: MakePuller) -> None:
    golden = _publish(server, "v1") / GOLDEN_FILE
    late = golden.rename(golden.with_name("late"))
    puller = make_puller()
    await puller.mirror.round()
    assert "(missing_file)" in (puller.mirror.trouble or "")
    late.rename(golden)
    await puller.mirror.round()
    assert (await puller.shown(), puller.mirror.trouble) == (["v1"], None)


def _escaping_version(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry.update(version="../outside"))


def _absolute_version(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry.update(version="/outside"))


def _escaping_file(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry["files"].update({"../../outside": entry["files"][GOLDEN_FILE]}))  # type: ignore[attr-defined,index]


def _hidden_file(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry["files"].update({".pull-lock": entry["files"][GOLDEN_FILE]}))  # type: ignore[attr-defined,index]


def _no_manifest(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry["files"].pop(MANIFEST_FILE))  # type: ignore[attr-defined]


def _half_copied_name(server: FileServer) -> None:
    _edit_index(server, lambda entry: entry.update(version="v2.partial"))


def _no_json(server: FileServer) -> None:
    (server.root / "index.json").write_text("<html>listing</html>")


def _endless(server: FileServer) -> None:
    server.instead["index.json"] = b" " * (5 << 20)


def _redirect(server: FileServer) -> None:
    server.statuses["index.json"] = 302


@pytest.mark.parametrize(
    "spoil",
    [
        _escaping_version,
        _absolute_version,
        _escaping_file,
        _hidden_file,
        _no_manifest,
        _half_copied_name,
        _no_json,
        _endless,
        _redirect,
    ],
    ids=lambda spoil: spoil.__name__.strip("_").replace("_", " "),
)
async def test_hostile_index_is_refused_whole_and_what_is_here_stays(
    server: FileServer, make_puller: MakePuller, spoil: Callable[[FileServer], None], tmp_path: Path
) -> None:
    puller = make_puller()
    _publish(server, "v1")
    await puller.mirror.round()
    _publish(server, "v2")
    spoil(server)
    before = _names(tmp_path)
    await puller.mirror.round()
    assert await puller.shown() == ["v1"]
    assert "index.json" in (puller.mirror.trouble or "")
    assert _names(tmp_path) == before


async def test_server_that_is_gone_leaves_what_is_here(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    with serving(tmp_path / "published") as server:
        _publish(server, "v1")
        async with httpx.AsyncClient() as http:
            settings = CheckpointSettings(folder=tmp_path / "cache", remote_url=SecretStr(server.url))
            source = HttpSource(SecretStr(server.url), http)
            mirror = Mirror(source, tmp_path / "cache", settings, CheckpointMetrics(CollectorRegistry()))
            await mirror.round()
    async with httpx.AsyncClient() as http:
        mirror = Mirror(
            HttpSource(SecretStr(server.url), http),
            tmp_path / "cache",
            settings,
            CheckpointMetrics(CollectorRegistry()),
        )
        await mirror.round()
    assert "does not answer: ConnectError" in (mirror.trouble or "")
    verify_folder(tmp_path / "cache" / "v1", max_adapter_bytes=1 << 20)


async def test_other_content_under_a_name_that_is_here_is_told_and_not_taken(
    server: FileServer, make_puller: MakePuller
) -> None:
    puller = make_puller()
    _publish(server, "v1")
    await puller.mirror.round()
    before = (puller.folder / "v1" / MANIFEST_FILE).read_bytes()
    (server.root / "v1").rename(server.root.parent / "old")
    _publish(server, "v1", rank=8)
    await puller.mirror.round()
    assert "another content under this name" in (puller.mirror.trouble or "")
    assert (puller.folder / "v1" / MANIFEST_FILE).read_bytes() == before


@contextmanager
def _largest_file(size_bytes: int) -> Iterator[None]:
    """Let writing beyond a size fail, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_full_disk_stops_the_pull_and_leaves_no_rubbish(server: FileServer, make_puller: MakePuller) -> None:
    puller = make_puller()
    _publish(server, "v1", rank=8)
    await puller.mirror.round()
    _publish(server, "v2", rank=512)
    with _largest_file(12 << 10):
        await puller.mirror.round()
        assert "the folder cannot be written" in (puller.mirror.trouble or "")
    assert (await puller.shown(), puller.hidden, puller.count("no_room")) == (["v1"], [], 1.0)
    await puller.mirror.round()
    assert (await puller.shown(), puller.mirror.trouble) == (["v2", "v1"], None)


async def test_folder_never_grows_beyond_its_bound(server: FileServer, make_puller: MakePuller) -> None:
    puller = make_puller(remote_max_mib=1)
    _publish(server, "v1", rank=8)
    await puller.mirror.round()
    with (puller.folder / "v1" / "kept").open("wb") as file:
        file.truncate(1 << 20)
    _publish(server, "v2", rank=8)
    await puller.mirror.round()
    assert await puller.shown() == ["v1"]
    assert "v2 does not fit" in (puller.mirror.trouble or "")


async def test_round_is_bounded_in_time(server: FileServer, make_puller: MakePuller) -> None:
    _publish(server, "v1")
    puller = make_puller(remote_timeout_s=1e-6)
    await puller.mirror.round()
    assert "a round took longer than" in (puller.mirror.trouble or "")


async def test_two_judges_share_a_folder_and_each_file_is_pulled_once(
    server: FileServer, make_puller: MakePuller
) -> None:
    _publish(server, "v1")
    one, two = make_puller(), make_puller()
    await asyncio.gather(one.mirror.round(), two.mirror.round())
    assert len(server.answers_for(f"v1/{ADAPTER_FILE}")) == 1
    assert (one.mirror.trouble, two.mirror.trouble) == (None, None)
    assert one.count("pulled") + two.count("pulled") == 1.0


async def test_user_and_password_of_the_address_are_sent_as_basic_authorization(
    server: FileServer, make_puller: MakePuller
) -> None:
    _publish(server, "v1")
    puller = make_puller(remote_url=server.url.replace("://", "://judge:secret@"))
    await puller.mirror.round()
    assert await puller.shown() == ["v1"]
    assert server.authorization.startswith("Basic ")


async def test_requests_to_a_private_bucket_are_signed_the_asked_range_too(
    server: FileServer, make_puller: MakePuller
) -> None:
    _publish(server, "v1")
    server.breaks_after[f"v1/{ADAPTER_FILE}"] = 5000
    settings = {"remote_url": server.url.replace("://", "://KEYID:se%2Fcret@"), "remote_s3_region": "eu-central-1"}
    puller = make_puller(**settings)
    await puller.mirror.round()
    assert re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=KEYID/\d{8}/eu-central-1/s3/aws4_request,"
        r"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=[0-9a-f]{64}",
        server.authorization,
    )
    await puller.mirror.round()
    assert await puller.shown() == ["v1"]
    assert (206, 5000) in server.answers_for(f"v1/{ADAPTER_FILE}")
    assert any("SignedHeaders=host;range;" in given for given in server.authorizations)


def test_region_without_a_key_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key id and secret"):
        CheckpointSettings(
            folder=tmp_path, remote_url=SecretStr("https://host/bucket"), remote_s3_region="eu-central-1"
        )


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://bucket", "https://", "https://host/x?list", "host/x"])
def test_address_that_is_none_stops_the_start(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        CheckpointSettings(folder=tmp_path, remote_url=SecretStr(url))


def test_remote_without_a_folder_stops_the_start() -> None:
    with pytest.raises(ValueError, match="needs `folder`"):
        CheckpointSettings(remote_url=SecretStr("https://host/registry"))
