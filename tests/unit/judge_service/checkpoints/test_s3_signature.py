"""Signature Version 4, against the example that Amazon publishes for reading an object."""

from datetime import UTC, datetime

import httpx
import pytest

from judge_service.checkpoints.s3_signature import S3Signature

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
MOMENT = datetime(2013, 5, 24, tzinfo=UTC)


def _signed(url: str, **headers: str) -> httpx.Request:
    request = httpx.Request("GET", url, headers=headers)
    return next(S3Signature(KEY_ID, SECRET, "us-east-1", now=lambda: MOMENT).auth_flow(request))


def test_it_is_the_published_one() -> None:
    request = _signed("https://examplebucket.s3.amazonaws.com/test.txt", Range="bytes=0-9")
    assert request.headers["x-amz-date"] == "20130524T000000Z"
    assert request.headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.parametrize("one", ["a+b", "a b", "\u00e4"])
def test_a_path_is_signed_as_it_is_meant_not_as_it_is_written(one: str) -> None:
    plain = _signed(f"https://bucket.example/{one}/index.json")
    encoded = _signed("https://bucket.example/" + "".join(f"%{byte:02X}" for byte in one.encode()) + "/index.json")
    assert plain.headers["Authorization"] == encoded.headers["Authorization"]
