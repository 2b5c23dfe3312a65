"""Keys reveal nothing, values do not open without the key, after a change, or in another place."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.cache.memory import InProcessCache
from services.cache.sealed import SealedCache

KEY = SecretStr(base64.b64encode(bytes(32)).decode())
OTHER_KEY = SecretStr(base64.b64encode(bytes(31) + b"\x01").decode())
SECRET = b"what the person said"


def _sealed(plain: InProcessCache, key: SecretStr | None = KEY) -> SealedCache:
    return SealedCache(plain, key)


async def test_what_lies_in_the_cache_holds_neither_key_parts_nor_value() -> None:
    plain = InProcessCache(2**20)
    sealed = _sealed(plain)
    entry = sealed.entry("judgment", ["what the person said"])
    await sealed.set(entry, SECRET, ttl_s=60)
    stored = await plain.get(entry)
    assert stored is not None
    assert SECRET not in stored
    assert b"person" not in entry.encode()
    assert await sealed.get(entry) == SECRET


async def test_the_same_key_in_another_process_opens_it() -> None:
    plain = InProcessCache(2**20)
    await _sealed(plain).set(_sealed(plain).entry("n", ["a"]), SECRET, ttl_s=60)
    assert await _sealed(plain).get(_sealed(plain).entry("n", ["a"])) == SECRET


@pytest.mark.parametrize("position", [0, 5, 20, -1], ids=["the version", "the nonce", "the ciphertext", "the tag"])
async def test_a_changed_value_is_a_miss(position: int) -> None:
    plain = InProcessCache(2**20)
    sealed = _sealed(plain)
    entry = sealed.entry("n", ["a"])
    await sealed.set(entry, SECRET, ttl_s=60)
    stored = bytearray(await plain.get(entry) or b"")
    stored[position] ^= 1
    await plain.set(entry, bytes(stored), ttl_s=60)
    assert await sealed.get(entry) is None


@pytest.mark.parametrize("planted", [b"", b"\x01", b"\x01short", b"not sealed at all, by anyone"], ids=len)
async def test_what_was_never_sealed_is_a_miss(planted: bytes) -> None:
    plain = InProcessCache(2**20)
    sealed = _sealed(plain)
    await plain.set(sealed.entry("n", ["a"]), planted, ttl_s=60)
    assert await sealed.get(sealed.entry("n", ["a"])) is None


async def test_a_value_moved_to_another_entry_is_a_miss() -> None:
    plain = InProcessCache(2**20)
    sealed = _sealed(plain)
    await sealed.set(sealed.entry("n", ["a"]), SECRET, ttl_s=60)
    await plain.set(sealed.entry("n", ["b"]), await plain.get(sealed.entry("n", ["a"])) or b"", ttl_s=60)
    assert await sealed.get(sealed.entry("n", ["b"])) is None


async def test_another_key_names_and_opens_nothing() -> None:
    plain = InProcessCache(2**20)
    ours, theirs = _sealed(plain), _sealed(plain, OTHER_KEY)
    entry = ours.entry("n", ["a"])
    await ours.set(entry, SECRET, ttl_s=60)
    assert theirs.entry("n", ["a"]) != entry
    assert await theirs.get(entry) is None


async def test_without_a_key_each_instance_draws_its_own() -> None:
    plain = InProcessCache(2**20)
    assert _sealed(plain, None).entry("n", ["a"]) != _sealed(plain, None).entry("n", ["a"])


@pytest.mark.parametrize("key", ["c2hvcnQ=", base64.b64encode(bytes(33)).decode()], ids=["5 bytes", "33 bytes"])
def test_a_key_of_another_length_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SealedCache(InProcessCache(10), SecretStr(key))


_PARTS = st.lists(st.one_of(st.text(), st.binary()), max_size=4)


@settings(deadline=None)
@given(first=_PARTS, second=_PARTS)
def test_entries_are_equal_only_for_equal_parts(first: list[str | bytes], second: list[str | bytes]) -> None:
    sealed = SealedCache(InProcessCache(10), KEY)

    def raw(parts: list[str | bytes]) -> list[bytes]:
        return [part.encode() if isinstance(part, str) else part for part in parts]

    assert (sealed.entry("n", first) == sealed.entry("n", second)) == (raw(first) == raw(second))


def test_moving_a_border_between_parts_changes_the_entry() -> None:
    sealed = SealedCache(InProcessCache(10), KEY)
    entries = {sealed.entry("n", parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""])}
    entries.add(sealed.entry("na", ["bc"]))
    assert len(entries) == 5
