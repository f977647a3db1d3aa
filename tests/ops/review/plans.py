"""Small plans made by hand, as `terraform show -json` has them."""

from __future__ import annotations

import json
from typing import Any

from ops.review.facts import Facts

State = dict[str, Any]


def entry(address: str, before: State | None, after: State | None, **more: Any) -> dict[str, Any]:
    """Return what a plan does with a resource: with neither side nothing, with both an update unless told otherwise."""
    kind, name = address.removesuffix("[0]").split(".")[-2:]
    actions = more.pop("actions", None) or (
        ["create"]
        if before is None
        else ["delete"]
        if after is None
        else ["no-op"]
        if before == after
        else ["update"]
    )
    change = {"actions": actions, "before": before, "after": after, "after_unknown": more.pop("unknown", {})}
    return {"address": address, "type": kind, "name": name, "mode": "managed", "change": change, **more}


def plan(*entries: dict[str, Any], drift: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"resource_changes": list(entries), "resource_drift": list(drift)}


def facts(*entries: dict[str, Any], **more: Any) -> Facts:
    return Facts("local", "us-east-1", plan(*entries), **more)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}
