"""Settings come from the environment, unsafe ones stop the start, and no value is ever shown."""

import base64
import json
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.settings import EngineSettings, ServiceSettings, load_settings
from services.web.keys import Scope, new_cache_key, new_key

KEY = new_cache_key()
URL = "redis://:s3cret@redis:6379/0"
OFF = {"THERALOOP_TEST_AUTH_MODE": "off"}


class Settings(ServiceSettings):
    """A service's settings."""

    model_config = SettingsConfigDict(env_prefix="THERALOOP_TEST_")

    engine: EngineSettings = Field(default_factory=EngineSettings, description="The engine.")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "THERALOOP_CACHE_REDIS_URL", "THERALOOP_CACHE_KEY"):
        monkeypatch.delenv(name, raising=False)


def _load(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings(Settings)


def test_each_part_and_field_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    record = new_key("partner", (Scope.EVALUATE,)).record
    settings = _load(
        monkeypatch,
        {
            "THERALOOP_TEST_BIND_HOST": "0.0.0.0",  # noqa: S104  what a container binds
            "THERALOOP_TEST_BIND_PORT": "9000",
            "THERALOOP_TEST_AUTH_KEYS": json.dumps([record.model_dump(mode="json")]),
            "THERALOOP_TEST_LIMITS_MAX_IN_FLIGHT": "7",
            "THERALOOP_TEST_LIMITS_DEADLINE_S": "2.5",
            "THERALOOP_TEST_ENGINE_URL": "http://engine:8000",
            "THERALOOP_TEST_LOG_LEVEL": "DEBUG",
        },
    )
    assert (settings.bind.host, settings.bind.port, settings.bind.loopback) == ("0.0.0.0", 9000, False)  # noqa: S104
    assert settings.auth.keys == (record,)
    assert (settings.limits.max_in_flight, settings.limits.deadline_s) == (7, 2.5)
    assert (str(settings.engine.url), settings.log_level) == ("http://engine:8000/", "DEBUG")


@pytest.mark.parametrize(
    "names",
    [
        ("REDIS_URL", "THERALOOP_CACHE_KEY"),
        ("THERALOOP_CACHE_REDIS_URL", "THERALOOP_CACHE_KEY"),
        ("THERALOOP_TEST_CACHE_REDIS_URL", "THERALOOP_TEST_CACHE_KEY"),
        ("REDIS_URL", "THERALOOP_TEST_CACHE_KEY"),
    ],
    ids=["the common name", "shared", "the service's own", "mixed"],
)
def test_the_cache_is_found_under_every_name(monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]) -> None:
    cache = _load(monkeypatch, OFF | dict(zip(names, (URL, KEY), strict=True))).cache
    assert cache.redis_url is not None
    assert cache.key is not None
    assert (cache.redis_url.get_secret_value(), cache.key.get_secret_value()) == (URL, KEY)


def test_the_services_own_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"THERALOOP_TEST_CACHE_REDIS_URL": URL, "REDIS_URL": "redis://other", "THERALOOP_CACHE_KEY": KEY}
    cache = _load(monkeypatch, OFF | own).cache
    assert cache.redis_url is not None
    assert cache.redis_url.get_secret_value() == URL


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "auth needs keys"),
        (OFF | {"THERALOOP_TEST_BIND_HOST": "0.0.0.0"}, "not loopback"),  # noqa: S104
        (OFF | {"THERALOOP_TEST_BIND_HOST": "judge.example"}, "not loopback"),
        (OFF | {"REDIS_URL": URL}, "THERALOOP_CACHE_KEY"),
        (OFF | {"THERALOOP_TEST_CACHE_KEY": "s3cret!"}, "THERALOOP_TEST_CACHE_KEY: is not base64"),
        (OFF | {"THERALOOP_TEST_CACHE_KEY": base64.b64encode(b"s3cret").decode()}, "is not 32 bytes"),
        (OFF | {"THERALOOP_TEST_BIND_PORT": "s3cret"}, "THERALOOP_TEST_BIND_PORT: "),
        (OFF | {"THERALOOP_TEST_BIND_PROT": "1"}, "THERALOOP_TEST_BIND_PROT: "),
        (OFF | {"THERALOOP_TEST_LIMITS_MAX_IN_FLIGHT": "0"}, "THERALOOP_TEST_LIMITS_MAX_IN_FLIGHT: "),
        ({"THERALOOP_TEST_AUTH_KEYS": "s3cret"}, "JSON"),
        (
            {"THERALOOP_TEST_AUTH_KEYS": '[{"name": "S3CRET!", "sha256": "s3cret", "scopes": []}]'},
            "THERALOOP_TEST_AUTH_KEYS",
        ),
    ],
    ids=[
        "no keys",
        "auth off on all addresses",
        "auth off on a name",
        "Redis without a cache key",
        "cache key no base64",
        "cache key too short",
        "no number",
        "misspelt",
        "zero",
        "keys no JSON",
        "keys malformed",
    ],
)
def test_the_unsafe_and_the_wrong_stop_the_start_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        _load(monkeypatch, variables)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in said
    assert "s3cret" not in said.lower()
    assert "Traceback" not in said


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = _load(monkeypatch, OFF | {"REDIS_URL": URL, "THERALOOP_CACHE_KEY": KEY})
    shown = f"{settings!r} {settings} {settings.model_dump_json()}"
    assert "s3cret" not in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.8.8.8", True),
        ("10.0.0.1", False),
        ("::", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_only(monkeypatch: pytest.MonkeyPatch, host: str, loopback: bool) -> None:
    keys = {"THERALOOP_TEST_AUTH_KEYS_FILE": "/keys.json", "THERALOOP_TEST_BIND_HOST": host}
    assert _load(monkeypatch, keys).bind.loopback is loopback
