"""Small plans, made by hand."""

from __future__ import annotations

from typing import Any

ACCOUNT = "123456789012"
ACTIONS = {
    "create": ["create"],
    "update": ["update"],
    "replace": ["delete", "create"],
    "keep": ["no-op"],
    "destroy": ["delete"],
}


def resource(address: str, after: dict[str, Any], action: str = "create", **unknown: Any) -> dict[str, Any]:
    """Return what a plan says of a resource; `unknown` names what is not known before the apply."""
    kind, name = address.split(".")[-2:]
    change = {"actions": ACTIONS[action], "before": None, "after": after, "after_unknown": unknown}
    return {"address": address, "type": kind, "name": name, "mode": "managed", "change": change}


def plan(*resources: dict[str, Any], stage: str = "prod", **variables: Any) -> dict[str, Any]:
    """Return a plan with these resources."""
    given = {name: {"value": value} for name, value in {"stage": stage, **variables}.items()}
    outputs = {"account_id": {"value": ACCOUNT}}
    return {
        "variables": given,
        "planned_values": {
            "outputs": outputs,
            "root_module": {"resources": [{"address": each["address"]} for each in resources]},
        },
        "resource_changes": list(resources),
        "configuration": {
            "root_module": {
                "resources": [{"address": each["address"].partition("[")[0]} for each in resources]
            }
        },
    }
