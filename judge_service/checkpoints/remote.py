"""A registry behind a URL: `index.json` and checkpoint files by plain GET, from any file server or S3-compatible store.

Answers are bounded while they are read, files go on where they stopped, and an index that did not change costs one
conditional request. Redirects are not followed. What arrives is trusted by nobody until its digest was checked.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import httpx
from pydantic import SecretStr, ValidationError

from judge_service.checkpoints.s3_signature import S3Signature
from services.checkpoint.errors import CheckpointRejected
from services.checkpoint.index import INDEX_FILE, MAX_INDEX_BYTES, RegistryIndex
from services.contracts.checkpoints import RejectionReason as Reason
from services.errors import DependencyUnavailable

_TIMEOUT: Final = httpx.Timeout(15.0, connect=5.0)
"""For each read; the mirror bounds the whole."""
_PLAIN: Final = {"Accept-Encoding": "identity"}
"""Sizes and digests are those of the files, and nothing is unpacked on the way."""


class SourceUnavailable(DependencyUnavailable):
    """The remote registry does not answer, or not in a usable way. What was pulled before stays."""


class HttpSource:
    """Implements `mirror.CheckpointSource`. `http` is owned by the caller.

    User and password of the URL go along as basic authorization, or, with a region, sign each request as S3 does.
    """

    def __init__(self, url: SecretStr, http: httpx.AsyncClient, *, s3_region: str | None = None) -> None:
        whole = httpx.URL(url.get_secret_value().rstrip("/"))
        self._auth = _authorization(whole, s3_region)
        self._base = whole.copy_with(userinfo=b"")
        self._http = http
        self._unless: Mapping[str, str] = {}

    async def index(self) -> RegistryIndex | None:
        """Return the index; None when it is the one that was returned last.

        Raises:
            SourceUnavailable: it cannot be had, or is no index.
        """
        async with self._get(INDEX_FILE, self._unless) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            if response.status_code != httpx.codes.OK:
                raise SourceUnavailable(f"the remote registry answers {response.status_code} for {INDEX_FILE}")
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > MAX_INDEX_BYTES:
                    raise SourceUnavailable(f"{INDEX_FILE} has more than {MAX_INDEX_BYTES} bytes")
        try:
            index = RegistryIndex.model_validate_json(bytes(content))
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
            raise SourceUnavailable(f"{INDEX_FILE} is not a registry's index: {wrong['type']}") from error
        self._unless = _validators(response)
        return index

    async def fetch(self, version: str, name: str, size_bytes: int, target: Path) -> None:
        """Write one file of `size_bytes` bytes to `target`, going on after what is there.

        Raises:
            CheckpointRejected: MISSING_FILE, there is none; OVERSIZE or DIGEST_MISMATCH, it has another length.
            SourceUnavailable: it broke off; what came is kept, for the next time.
            OSError: it cannot be written.
        """
        file = anyio.Path(target)
        have = (await file.stat()).st_size if await file.exists() else 0
        if have >= size_bytes > 0:
            return
        asked = {"Range": f"bytes={have}-"} if have else {}
        async with self._get(f"{version}/{name}", asked) as response:
            _require_file(response, name)
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise SourceUnavailable(f"the remote registry answers with another part of {name} than was asked for")
            written = have if resumed else 0
            async with await file.open("ab" if resumed else "wb") as opened:
                async for chunk in response.aiter_raw():
                    written += len(chunk)
                    if written > size_bytes:
                        detail = f"{name} is longer than the {size_bytes} bytes that the index names"
                        raise CheckpointRejected(Reason.OVERSIZE, detail)
                    await opened.write(chunk)
        if written < size_bytes and "Content-Length" in response.headers:
            raise CheckpointRejected(
                Reason.DIGEST_MISMATCH, f"{name} has {written} bytes; the index names {size_bytes}"
            )
        if written < size_bytes:
            raise SourceUnavailable(f"{name} ended after {written} of {size_bytes} bytes")

    @asynccontextmanager
    async def _get(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        url = self._base.copy_with(path=f"{self._base.path.rstrip('/')}/{path}")
        try:
            async with self._http.stream(
                "GET", url, headers={**_PLAIN, **headers}, auth=self._auth, timeout=_TIMEOUT, follow_redirects=False
            ) as response:
                yield response
        except httpx.HTTPError as error:
            raise SourceUnavailable(f"the remote registry does not answer: {type(error).__name__}") from error


def _authorization(url: httpx.URL, s3_region: str | None) -> httpx.Auth | None:
    if not url.userinfo:
        return None
    if s3_region is None:
        return httpx.BasicAuth(url.username, url.password)
    return S3Signature(url.username, url.password, s3_region)


def _require_file(response: httpx.Response, name: str) -> None:
    status = response.status_code
    if status in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        return
    if status in (httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN, httpx.codes.GONE):
        # S3 answers 403 for what is not there to those who may not list.
        raise CheckpointRejected(Reason.MISSING_FILE, f"the remote registry answers {status} for {name}")
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise CheckpointRejected(Reason.DIGEST_MISMATCH, f"{name} is shorter than the index names")
    raise SourceUnavailable(f"the remote registry answers {status} for {name}")


def _validators(response: httpx.Response) -> Mapping[str, str]:
    """Return the headers that ask for the index only if it is another one."""
    if tag := response.headers.get("ETag"):
        return {"If-None-Match": tag}
    if changed := response.headers.get("Last-Modified"):
        return {"If-Modified-Since": changed}
    return {}
