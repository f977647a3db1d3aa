"""Signature Version 4, checked: in the header and in the query of a presigned URL.

The signatures of the single chunks of a body that S3 gets in chunks are not checked, that of the request is.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from calendar import timegm
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote_to_bytes
from wsgiref.types import WSGIEnvironment

from localcloud.authorization import calls
from localcloud.authorization.callers import Signature, Unknown

_SKEW = {"s3": 900}  # s
_USUAL_SKEW = 300
_LONGEST = 604_800  # s a presigned URL may be good for


def check(environ: WSGIEnvironment, signature: Signature, secret: str) -> None:
    """Raises Unknown."""
    query = environ.get("QUERY_STRING", "")
    timestamp = _timestamp(environ, signature, query)
    if not timestamp.startswith(signature.date):  # a key is derived for a day
        raise Unknown("signature")
    if not _must_be_signed(environ) <= set(signature.headers):
        raise Unknown("headers")
    canonical = "\n".join(
        (
            environ["REQUEST_METHOD"],
            _path(environ, signature.service),
            _query(query, signature.presigned) if query else "",
            _headers(environ, signature.headers),
            "",
            ";".join(signature.headers),
            _payload(environ, signature),
        )
    )
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
    key = _key(secret, signature.date, signature.region, signature.service)
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    if not hmac.compare_digest(expected, signature.value.lower()):
        raise Unknown("signature")


def _must_be_signed(environ: WSGIEnvironment) -> set[str]:
    """What somebody adds to a request that another has signed must change nothing: a copy's source, an ACL."""
    names = (name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_X_AMZ_"))
    return {"host", *names}


def _timestamp(environ: WSGIEnvironment, signature: Signature, query: str) -> str:
    if not signature.presigned:
        text = str(environ.get("HTTP_X_AMZ_DATE", ""))
        limit = _SKEW.get(signature.service, _USUAL_SKEW)
        if abs(time.time() - _seconds(text)) > limit:
            raise Unknown("skew")
        return text
    given = dict(parse_qsl(query))
    text = given.get("X-Amz-Date", "")
    lifetime = given.get("X-Amz-Expires", "0")
    good = float(lifetime) if lifetime.isdigit() and int(lifetime) <= _LONGEST else 0.0
    if not _seconds(text) - _SKEW["s3"] <= time.time() <= _seconds(text) + good:
        raise Unknown("past")
    return text


@lru_cache(maxsize=16)
def _seconds(text: str) -> float:
    try:
        return timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return 0.0


@lru_cache(maxsize=64)
def _key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for term in (date, region, service, "aws4_request"):
        key = hmac.digest(key, term.encode(), "sha256")
    return key


def _path(environ: WSGIEnvironment, service: str) -> str:
    """As it was sent to S3; encoded once more for all others."""
    sent = str(environ.get("RAW_URI", "") or quote(environ.get("PATH_INFO", "/")))
    path = sent.partition("?")[0] or "/"
    return path if service == "s3" else _encoded(path)


@lru_cache(maxsize=1024)
def _encoded(path: str) -> str:
    return quote(path, safe="/~")


def _query(query: str, presigned: bool) -> str:
    pairs = []
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if presigned and name == "X-Amz-Signature":
            continue
        pairs.append((_again(name), _again(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _again(text: str) -> str:
    """Encoded as the signature wants it, however the client has sent it."""
    return quote(unquote_to_bytes(text.replace("+", "%20")), safe="-_.~")


def _headers(environ: WSGIEnvironment, names: tuple[str, ...]) -> str:
    lines = []
    for name in names:
        key = name.upper().replace("-", "_")
        value = environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", "")
        lines.append(f"{name}:{' '.join(str(value).split())}")
    return "\n".join(lines)


def _payload(environ: WSGIEnvironment, signature: Signature) -> str:
    said = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", ""))
    if signature.service == "s3":
        if signature.presigned and not said:
            return "UNSIGNED-PAYLOAD"
        if said.startswith(("UNSIGNED", "STREAMING")):
            return said
    actual = hashlib.sha256(calls.body(environ)).hexdigest()
    if said and said != actual and signature.service == "s3":
        raise Unknown("content")
    return actual
