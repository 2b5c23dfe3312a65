"""Keys are random, kept as digests, and found in files and environments."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.errors import Unauthenticated
from services.settings import AuthSettings
from services.web.auth import Authenticator
from services.web.keys import KeyFile, Scope, new_key, read_key_file


def test_a_new_key_is_known_by_its_digest_alone() -> None:
    key = new_key("partner-a", (Scope.EVALUATE,))
    stored = key.record.model_dump_json()
    assert key.secret.startswith("tl_")
    assert key.secret not in stored
    assert key.secret[3:] not in stored
    principal = Authenticator([key.record]).authenticate(f"Bearer {key.secret}")
    assert (principal.name, principal.scopes) == ("partner-a", frozenset({Scope.EVALUATE}))


def test_two_new_keys_differ() -> None:
    assert new_key("a", (Scope.ADMIN,)).secret != new_key("a", (Scope.ADMIN,)).secret


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda key: key[:-1], lambda key: key + "x", lambda key: key[3:], lambda key: f" {key}"],
    ids=["upper case", "one short", "one more", "no prefix", "two blanks"],
)
def test_almost_the_key_is_not_the_key(change: Callable[[str], str]) -> None:
    key = new_key("partner-a", (Scope.EVALUATE,))
    with pytest.raises(Unauthenticated):
        Authenticator([key.record]).authenticate(f"Bearer {change(key.secret)}")


def test_keys_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    in_file, in_env = new_key("in-file", (Scope.REFINE,)), new_key("in-env", (Scope.EVALUATE,))
    path = tmp_path / "keys.json"
    path.write_text(KeyFile(keys=(in_file.record,)).model_dump_json())
    auth = Authenticator.from_settings(AuthSettings(keys_file=path, keys=(in_env.record,)))
    assert auth.authenticate(f"Bearer {in_file.secret}").name == "in-file"
    assert auth.authenticate(f"Bearer {in_env.secret}").name == "in-env"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("", "not valid"),
        ('{"keys": [{"name": "a", "sha256": "tl_oops_the_secret", "scopes": ["evaluate"]}]}', "keys.0.sha256"),
        ('{"keys": [{"name": "a", "scopes": ["everything"]}]}', "keys.0.scopes.0"),
    ],
    ids=["missing", "empty", "a secret for a digest", "unknown scope"],
)
def test_an_unusable_key_file_says_where_without_showing_it(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=told) as raised:
        read_key_file(path)
    assert "oops" not in str(raised.value)


def test_a_file_without_keys_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": []}))
    with pytest.raises(ValueError, match="no API key"):
        Authenticator.from_settings(AuthSettings(keys_file=path))


def test_two_keys_of_one_name_stop_the_start() -> None:
    records = [new_key("same", (Scope.EVALUATE,)).record for _ in range(2)]
    with pytest.raises(ValueError, match="share a name"):
        Authenticator(records)
