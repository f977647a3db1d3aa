"""Policy statements as IAM evaluates them, with their conditions.

moto takes a condition that it does not know as met, and a statement whose condition is not met as a refusal: the
usual "deny what does not come over TLS" then denies everything. Here such a statement does not apply.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.iam import access_control
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

# What holds for every request to this cloud. Its loopback connections stand for AWS's, which are encrypted.
_ALWAYS = {"aws:securetransport": ["true"], "s3:tlsversion": ["1.3"]}

Context = Mapping[str, list[str]]  # by lower-case key


class Statement(IAMPolicyStatement):
    def is_action_permitted(
        self,
        action: str,
        resource: str = "*",
        principal: str | None = None,
        incoming_condition_values: dict[str, str] | None = None,
    ) -> PermissionResult:
        given = {key.lower(): [value] for key, value in (incoming_condition_values or {}).items()}
        return evaluate(self._statement, action, resource, principal, {**_ALWAYS, **given})


def install() -> None:
    access_control.IAMPolicyStatement = Statement  # type: ignore[misc]


def evaluate(
    statement: Mapping[str, Any], action: str, resource: str, principal: str | None, context: Context
) -> PermissionResult:
    applies = (
        _concerns(statement, "Action", action, ignore_case=True)
        and _concerns(statement, "Resource", resource)
        and _is_for(statement, principal)
        and all(
            _holds(operator, key, _list(wanted), context)
            for operator, block in statement.get("Condition", {}).items()
            for key, wanted in block.items()
        )
    )
    if not applies:
        return PermissionResult.NEUTRAL
    return PermissionResult.PERMITTED if statement["Effect"] == "Allow" else PermissionResult.DENIED


def _concerns(statement: Mapping[str, Any], element: str, value: str, *, ignore_case: bool = False) -> bool:
    """A trust policy has no Resource, and concerns its role whatever is asked."""
    if f"Not{element}" in statement:
        return not any(_like(pattern, value, ignore_case) for pattern in _list(statement[f"Not{element}"]))
    patterns = _list(statement.get(element, "*"))
    return any(_like(pattern, value, ignore_case) for pattern in patterns)


def _is_for(statement: Mapping[str, Any], principal: str | None) -> bool:
    """A caller who is not known is only meant where everybody is."""
    named = statement.get("Principal")
    if named is None:
        return True
    accounts = _list(named if isinstance(named, str) else named.get("AWS", []))
    if "*" in accounts:
        return True
    if principal is None:
        return False
    account = principal.split(":")[4] if principal.startswith("arn:") else ""
    return any(one in (principal, account) or one.endswith(f"::{account}:root") for one in accounts)


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    actual = context.get(key.lower())
    if name == "Null":
        return (actual is None) == (wanted[0].lower() == "true")
    negated = "Not" in name
    test = _OPERATORS.get(name.replace("Not", "", 1))
    if test is None:
        return False  # not even IAM knows it
    if actual is None:
        return if_exists or negated or quantifier == "ForAllValues"
    matches = [any(test(one, value) for one in wanted) != negated for value in actual]
    return any(matches) if quantifier == "ForAnyValue" else all(matches)


def _like(pattern: str, value: str, ignore_case: bool = False) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return (
        re.fullmatch(expression, value, re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL) is not None
    )


def _in_network(wanted: str, value: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "BinaryEquals": lambda wanted, value: wanted == value,
    "NumericEquals": lambda wanted, value: float(value) == float(wanted),
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
    "NumericLessThanEquals": lambda wanted, value: float(value) <= float(wanted),
    "NumericGreaterThan": lambda wanted, value: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, value: float(value) >= float(wanted),
    # ISO 8601 in UTC sorts as text
    "DateEquals": lambda wanted, value: value == wanted,
    "DateLessThan": lambda wanted, value: value < wanted,
    "DateLessThanEquals": lambda wanted, value: value <= wanted,
    "DateGreaterThan": lambda wanted, value: value > wanted,
    "DateGreaterThanEquals": lambda wanted, value: value >= wanted,
    "IpAddress": _in_network,
}


def _list(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
