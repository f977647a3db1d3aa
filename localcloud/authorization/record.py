"""What was decided, for whom, by which statements: what the report on rights is made from."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

from localcloud.authorization.principals import Principal

_LIMIT = 20_000

_lock = threading.Lock()
_entries: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()


def add(
    principal: Principal,
    action: str,
    resource: str,
    allowed: bool,
    statements: tuple[str, ...],
    context: dict[str, list[str]],
    source: str,
    reason: str = "",
) -> None:
    key = (principal.arn, action, resource, allowed, statements, source)
    with _lock:
        entry = _entries.get(key)
        if entry is not None:
            entry["count"] += 1
            entry["at"] = time.time()
            return
        _entries[key] = {
            "principal": principal.arn,
            "role": principal.identity,
            "action": action,
            "resource": resource,
            "context": context,
            "allowed": allowed,
            "statements": list(statements),
            "reason": reason,
            "source": source,
            "at": time.time(),
            "count": 1,
        }
        if len(_entries) > _LIMIT:
            _entries.popitem(last=False)


def entries() -> list[dict[str, Any]]:
    with _lock:
        return [dict(entry) for entry in _entries.values()]


def clear() -> None:
    with _lock:
        _entries.clear()
