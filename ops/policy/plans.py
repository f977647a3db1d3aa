"""What the checks need to know of a plan besides its resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def stage_of(plan: dict[str, Any]) -> str:
    """Return the stage that the plan is of; "" where it does not say."""
    return str(plan.get("variables", {}).get("stage", {}).get("value", ""))


def account_of(plan: dict[str, Any]) -> str | None:
    """Return the account that the plan is for; None where it is not known."""
    output = plan.get("planned_values", {}).get("outputs", {}).get("account_id", {})
    return str(output["value"]) if output.get("value") else None


def declared(plan: dict[str, Any]) -> set[str]:
    """Return the addresses of all resources that the configuration has, without the indexes of each and count."""
    return set(_declared(plan.get("configuration", {}).get("root_module", {}), ""))


def _declared(module: dict[str, Any], prefix: str) -> Iterator[str]:
    for resource in module.get("resources", []):
        yield f"{prefix}{resource['address']}"
    for name, call in module.get("module_calls", {}).items():
        yield from _declared(call["module"], f"{prefix}module.{name}.")
