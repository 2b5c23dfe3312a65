"""Requests to a private S3-compatible bucket, signed as Signature Version 4 asks.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Only what reading needs: GET without body
and query: an SDK would bring an HTTP client of its own for it.
"""

import hashlib
import hmac
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

import httpx

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_NO_BODY: Final = hashlib.sha256(b"").hexdigest()


class S3Signature(httpx.Auth):
    """Signs each GET request with a key pair of the bucket's region."""

    def __init__(
        self, key_id: str, secret: str, region: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._key_id, self._secret, self._region, self._now = key_id, secret, region, now

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add `x-amz-date`, `x-amz-content-sha256` and `Authorization`."""
        moment = self._now().strftime("%Y%m%dT%H%M%SZ")
        request.headers["x-amz-date"] = moment
        request.headers["x-amz-content-sha256"] = _NO_BODY
        signed = sorted({"host", "range", "x-amz-content-sha256", "x-amz-date"} & set(request.headers))
        # Both sides encode the decoded path in the same way; what the client left as it was does not matter.
        path = quote(unquote(request.url.path), safe="/-_.~")
        headers = [f"{name}:{request.headers[name].strip()}\n" for name in signed]
        canonical = "\n".join([request.method, path, "", "".join(headers), ";".join(signed), _NO_BODY])
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        to_sign = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self._secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        request.headers["Authorization"] = (
            f"{_ALGORITHM} Credential={self._key_id}/{scope},SignedHeaders={';'.join(signed)},Signature={signature}"
        )
        yield request
