"""Callers by their credentials: which key, of whom, with which token, until when.

"local" is root of the cloud's own account, "local-<12 digits>" that of another, which exists as soon as it is used;
the secret of both is "local".
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

from moto.iam.models import iam_backends

from localcloud.authorization import principals, sessions
from localcloud.authorization.principals import ANONYMOUS, Principal, Session
from localcloud.config import ACCOUNT_ID

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<scope>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]+),\s*"
    r"Signature=(?P<signature>[0-9a-fA-F]+)"
)
_SCOPE = re.compile(
    r"(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[A-Za-z0-9-]+)/aws4_request"
)
_ROOT = re.compile(r"local(?:-(?P<account>\d{12}))?")


class Unknown(Exception):
    """Credentials that are not accepted: `kind` is what is wrong with them."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class Signature:
    key: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    value: str
    presigned: bool = False


@dataclass(frozen=True)
class Caller:
    principal: Principal
    secret: str = ""
    signature: Signature | None = None
    session: Session | None = None


def signature_of(environ: WSGIEnvironment) -> Signature | None:
    """None for a request that is not signed."""
    header = environ.get("HTTP_AUTHORIZATION")
    query = environ.get("QUERY_STRING", "")
    if str(header or "").startswith("AWS ") or "AWSAccessKeyId=" in query:
        raise Unknown("version 2")
    if header:
        return _header(header)
    if "X-Amz-Credential=" not in query:
        return None
    given = {name: values[0] for name, values in parse_qs(query).items()}
    headers, value = given.get("X-Amz-SignedHeaders", "host"), given.get("X-Amz-Signature", "")
    return _signature(given["X-Amz-Credential"], headers, value, presigned=True)


@lru_cache(maxsize=256)
def _header(header: str) -> Signature:
    found = _AUTHORIZATION.match(header)
    if found is None:
        raise Unknown("malformed")
    return _signature(found["scope"], found["headers"], found["signature"])


def _signature(scope: str, headers: str, value: str, *, presigned: bool = False) -> Signature:
    found = _SCOPE.fullmatch(scope)
    if found is None:
        raise Unknown("malformed")
    names = tuple(headers.split(";"))
    service = found["service"].lower()
    return Signature(found["key"], found["date"], found["region"], service, names, value, presigned)


def identify(environ: WSGIEnvironment) -> Caller:
    """Raises Unknown."""
    signature = signature_of(environ)
    if signature is None:
        return Caller(ANONYMOUS)
    session = sessions.find(signature.key)
    if session is None:
        return owner(signature)
    if _token(environ, signature) != session.token:
        raise Unknown("token")
    if session.expires <= time.time():
        raise Unknown("expired")
    return Caller(session.principal, session.secret, signature, session)


@lru_cache(maxsize=64)
def _root(account: str) -> Principal:
    return principals.root(account)


def owner(signature: Signature) -> Caller:
    """Of a key that is not a session's: root or a user. Raises Unknown."""
    root = _ROOT.fullmatch(signature.key)
    if root is not None:
        return Caller(_root(root["account"] or ACCOUNT_ID), "local", signature)
    for account, partitions in list(iam_backends.items()):
        key: Any = partitions["aws"].access_keys.get(signature.key)
        if key is None or not key.user_name:
            continue
        found: Any = partitions["aws"].users.get(key.user_name)
        own = found is not None and key in found.access_keys  # moto keeps those of users that are gone
        if not own or key.status != "Active":
            break
        principal = principals.user(account, found.arn, found.name, found.id)
        return Caller(principal, key.secret_access_key, signature)
    raise Unknown("key")


def _token(environ: WSGIEnvironment, signature: Signature) -> str:
    if not signature.presigned:
        return str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
    query = str(environ.get("QUERY_STRING", ""))
    return parse_qs(query).get("X-Amz-Security-Token", [""])[0]
