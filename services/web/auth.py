"""Who calls: API keys as bearer tokens, checked before a body is read, and the scope that a route asks for.

`Authenticator` is used by the admission middleware for every path but the open ones; `require` is the FastAPI
dependency of a route.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from services.errors import Forbidden, Unauthenticated
from services.settings import AuthSettings
from services.web.keys import KeyRecord, Scope, digest_of, read_key_file

_MAX_SECRET_CHARS: Final = 256


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from."""

    name: str
    scopes: frozenset[Scope]


ANYBODY: Final = Principal("anybody", frozenset(Scope))
"""Everyone, when auth is off."""


class Authenticator:
    """Knows the keys.

    With `records` None auth is off: everybody may do everything (settings allow it on loopback only).
    """

    def __init__(self, records: Sequence[KeyRecord] | None) -> None:
        names = [record.name for record in records or ()]
        if len(set(names)) != len(names):
            raise ValueError("two API keys share a name; rate limits and logs could not tell them apart")
        self._records = None if records is None else tuple(records)

    @classmethod
    def from_settings(cls, settings: AuthSettings) -> "Authenticator":
        """Return the authenticator that the settings describe.

        Raises:
            ValueError: the key file is unusable, or there is no key at all.
        """
        if settings.mode == "off":
            return cls(None)
        from_file = read_key_file(settings.keys_file) if settings.keys_file else ()
        records = (*settings.keys, *from_file)
        if not records:
            raise ValueError("there is no API key; make one with `theraloop keys new`")
        return cls(records)

    def authenticate(self, authorization: str | None) -> Principal:
        """Return who holds the key of an `Authorization` header.

        Raises:
            Unauthenticated: there is no key, or it is not known.
        """
        if self._records is None:
            return ANYBODY
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret or len(secret) > _MAX_SECRET_CHARS:
            raise Unauthenticated("send `Authorization: Bearer <key>`")
        offered = digest_of(secret)
        # Every record is compared, each in constant time: how long it takes says nothing about which one matched.
        matches = [record for record in self._records if hmac.compare_digest(record.sha256, offered)]
        if not matches:
            raise Unauthenticated("the API key is not known; check it, or ask the operator for one")
        return Principal(matches[0].name, frozenset(matches[0].scopes))


def require(scope: Scope | str) -> Callable[[Request], Principal]:
    """Return the dependency that lets only keys with `scope` pass and gives the route its Principal."""
    needed = Scope(scope)

    def permitted(request: Request) -> Principal:
        principal: Principal = request.state.principal
        if needed not in principal.scopes:
            raise Forbidden(f"the API key lacks the scope `{needed}`")
        return principal

    return permitted
