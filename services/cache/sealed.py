"""What the cache's operator may not read: keys become HMACs, values are encrypted and bound to their key.

One 32-byte secret gives two keys (HKDF, RFC 5869): HMAC-SHA256 names the entries, AES-256-GCM seals the values with the
entry's name as associated data, so that a value moved to another entry does not open. A value that does not open is a
miss: see docs/security.md.
"""

import base64
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from services.cache.port import Cache

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_log = structlog.get_logger(__name__)


class SealedCache:
    """A cache of secrets on a cache that must not know them."""

    def __init__(self, cache: Cache, key: SecretStr | None) -> None:
        """Seal with `key`, 32 bytes in base64; with None a random one is drawn, and entries end with the process.

        Raises:
            ValueError: the key is not 32 bytes in base64.
        """
        secret = base64.b64decode(key.get_secret_value(), validate=True) if key else secrets.token_bytes(_KEY_BYTES)
        if len(secret) != _KEY_BYTES:
            raise ValueError("the cache key is not 32 bytes in base64; make one with `theraloop keys cache`")
        self.cache = cache
        self._naming_key = _derive(secret, b"theraloop cache names v1")
        self._cipher = AESGCM(_derive(secret, b"theraloop cache values v1"))

    def entry(self, namespace: str, parts: Sequence[str | bytes]) -> str:
        """Return the entry's name: a MAC over namespace and parts, each with its length: no two lists collide."""
        mac = hmac.HMAC(self._naming_key, hashes.SHA256())
        for part in (namespace, *parts):
            raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            mac.update(len(raw).to_bytes(8, "big"))
            mac.update(raw)
        return f"tl:v1:{mac.finalize().hex()}"

    async def get(self, entry: str) -> bytes | None:
        """Return what was stored, or None when there is nothing or it does not open; raise CacheUnavailable."""
        sealed = await self.cache.get(entry)
        if sealed is None:
            return None
        try:
            return self._open(entry, sealed)
        except InvalidTag:
            _log.warning("cache_value_does_not_open", cache=self.cache.name)
            return None

    async def set(self, entry: str, value: bytes, ttl_s: float) -> None:
        """Store for `ttl_s` seconds; raise CacheUnavailable."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, value, _VERSION + entry.encode())
        await self.cache.set(entry, _VERSION + nonce + sealed, ttl_s)

    def lock(self, entry: str, *, ttl_s: float, wait_s: float) -> AbstractAsyncContextManager[bool]:
        """Hold the entry's lock over the block; see the port."""
        return self.cache.lock(f"{entry}:lock", ttl_s=ttl_s, wait_s=wait_s)

    def _open(self, entry: str, sealed: bytes) -> bytes:
        head = len(_VERSION) + _NONCE_BYTES
        if not sealed.startswith(_VERSION) or len(sealed) < head:
            raise InvalidTag
        return self._cipher.decrypt(sealed[len(_VERSION) : head], sealed[head:], _VERSION + entry.encode())


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=purpose).derive(secret)
