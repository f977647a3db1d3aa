"""The sessions that STS gave out, by access key."""

from __future__ import annotations

import secrets
import threading
import time

from moto.iam.models import AccessKey, iam_backends

from localcloud.authorization.network import Source
from localcloud.authorization.principals import Principal, Session

_lock = threading.Lock()
_sessions: dict[str, Session] = {}


def find(access_key: str) -> Session | None:
    return _sessions.get(access_key)


def account_of(access_key: str) -> str:
    """Of the session with this key; "" where there is none."""
    found = find(access_key)
    return found.principal.account if found is not None else ""


def create(
    principal: Principal,
    seconds: float,
    *,
    policies: tuple[str, ...] = (),
    tags: dict[str, str] | None = None,
    source: Source | None = None,
    identity_provider: str = "",
) -> Session:
    key = AccessKey(user_name=None, prefix="ASIA", account_id=principal.account)  # type: ignore[abstract]
    now = time.time()
    key.role_arn = principal.identity if principal.kind == "role" else None
    session = Session(
        key.access_key_id,
        key.secret_access_key,
        "FwoGZXIvYXdzE" + secrets.token_urlsafe(180),
        principal,
        now + seconds,
        now,
        policies,
        tags or {},
        source,
        identity_provider,
    )
    # moto finds the account of a request by its key.
    iam_backends[principal.account]["aws"].access_keys[session.access_key] = key
    with _lock:
        _forget_expired()
        _sessions[session.access_key] = session
    return session


def _forget_expired() -> None:
    """A day after they have expired: until then the refusal says that they have."""
    now = time.time()
    for key, session in [one for one in _sessions.items() if one[1].expires < now - 86_400]:
        del _sessions[key]
        iam_backends[session.principal.account]["aws"].access_keys.pop(key, None)
