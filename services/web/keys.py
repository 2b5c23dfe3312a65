"""API keys at rest: a random secret is shown once, its SHA-256 digest and scopes are kept.

A secret has 256 random bits, so a plain digest cannot be searched; a slow password hash would only slow each request.
Imports no web framework: the command line makes keys with it.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX: Final = "tl_"


class Scope(StrEnum):
    """What a key may do."""

    EVALUATE = "evaluate"
    REFINE = "refine"
    ADMIN = "admin"


class KeyRecord(BaseModel):
    """One key as it is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Who holds the key; appears in logs and rate limits."
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the whole secret, `tl_` included.")
    scopes: tuple[Scope, ...] = Field(min_length=1, description="What the key may do.")


class KeyFile(BaseModel):
    """The file that `keys_file` names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[KeyRecord, ...] = Field(description="All keys.")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key: `secret` goes to its holder and nowhere else, `record` into the key file."""

    secret: str
    record: KeyRecord


def new_key(name: str, scopes: tuple[Scope, ...]) -> NewKey:
    """Return a fresh random key."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return NewKey(secret, KeyRecord(name=name, sha256=digest_of(secret), scopes=scopes))


def new_cache_key() -> str:
    """Return 32 random bytes in base64, for `THERALOOP_CACHE_KEY`."""
    return base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def digest_of(secret: str) -> str:
    """Return the digest under which a secret is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def read_key_file(path: Path) -> tuple[KeyRecord, ...]:
    """Return the records of a key file.

    Raises:
        ValueError: the file cannot be read or is no key file; the message names the fields, not their values.
    """
    try:
        return KeyFile.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise ValueError(f"the key file {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_input=False))
        raise ValueError(f"the key file {path} is not valid at: {places or 'its start'}") from None
