"""Policy statements as IAM evaluates them, with their conditions.

moto takes a condition that it does not know as met, and a statement whose condition is not met as a refusal. It has no
say here: `authorization` decides before a request reaches it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

from moto.iam import access_control
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

NOBODY, ACCOUNT, EVERYBODY, CALLER = range(4)  # how closely a Principal names a caller


class Context(Protocol):
    """By lower-case key. A Mapping is one."""

    def get(self, key: str, /) -> list[str] | None: ...


@dataclass(frozen=True)
class Who:
    """What a Principal may name a caller by."""

    aws: tuple[str, ...] = ()  # ARNs: the session's, and its role's or user's
    account: str = ""
    service: str = ""
    federated: str = ""


class Statement(IAMPolicyStatement):
    def is_action_permitted(self, *_: object, **__: object) -> PermissionResult:
        return PermissionResult.PERMITTED


def install() -> None:
    access_control.IAMPolicyStatement = Statement  # type: ignore[misc]


def evaluate(
    statement: Mapping[str, Any], action: str, resource: str, who: Who | None, context: Context
) -> PermissionResult:
    for_anybody = who is None or statement.keys().isdisjoint(("Principal", "NotPrincipal"))
    applies = concerns(statement, action, resource, context) and (
        for_anybody or named(statement, who or Who())
    )
    if not applies or not holds(statement, context):
        return PermissionResult.NEUTRAL
    return PermissionResult.PERMITTED if statement["Effect"] == "Allow" else PermissionResult.DENIED


def concerns(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    """A trust policy has no Resource, and concerns its role whatever is asked."""
    wanted = statement.get("Action")
    if wanted is None:
        if any(_like(one, action, True) for one in _list(statement["NotAction"])):
            return False
    elif not any(_like(one, action, True) for one in _list(wanted)):
        return False
    patterns = statement.get("NotResource")
    if patterns is not None:
        return not any(_is_resource(one, resource, context) for one in _list(patterns))
    patterns = statement.get("Resource")
    return patterns is None or any(_is_resource(one, resource, context) for one in _list(patterns))


def holds(statement: Mapping[str, Any], context: Context) -> bool:
    """Whether all conditions of the statement are met."""
    return all(
        _holds(operator, key, _list(wanted), context)
        for operator, block in statement.get("Condition", {}).items()
        for key, wanted in block.items()
    )


def named(statement: Mapping[str, Any], who: Who) -> int:
    """How closely the statement's Principal names the caller."""
    if "NotPrincipal" in statement:  # an account in it stands for its root, not for all of its own
        return NOBODY if _named(statement["NotPrincipal"], who) in (CALLER, EVERYBODY) else EVERYBODY
    return _named(statement.get("Principal", {}), who)


def _named(principal: Any, who: Who) -> int:
    if principal == "*":
        return EVERYBODY
    if not isinstance(principal, Mapping):
        return NOBODY
    if who.service and who.service in _list(principal.get("Service", [])):
        return CALLER
    if who.federated and who.federated in _list(principal.get("Federated", [])):
        return CALLER
    accounts = _list(principal.get("AWS", []))
    if any(one in who.aws for one in accounts):
        return CALLER
    if "*" in accounts:
        return EVERYBODY
    if who.account and any(one == who.account or one.endswith(f"::{who.account}:root") for one in accounts):
        return CALLER if any(one.endswith(":root") for one in who.aws) else ACCOUNT
    return NOBODY


def _is_resource(pattern: str, resource: str, context: Context) -> bool:
    if pattern == "*":
        return True
    filled = _filled(pattern, context)
    return filled is not None and _expression(filled, False).fullmatch(resource) is not None


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    actual = context.get(key.lower()) or None  # no values are none
    if name == "Null":
        return (actual is None) == (wanted[0].lower() == "true")
    negated = "Not" in name
    test = _OPERATORS.get(name.replace("Not", "", 1))
    if test is None:
        return False  # not even IAM knows it
    if actual is None:
        return if_exists or (negated and quantifier != "ForAnyValue") or quantifier == "ForAllValues"
    known = [one for one in (_filled(one, context) for one in wanted) if one is not None]
    matches = [any(_tested(test, one, value) for one in known) != negated for value in actual]
    return any(matches) if quantifier == "ForAnyValue" else all(matches)


def _tested(test: Callable[[str, str], bool], wanted: str, value: str) -> bool:
    try:
        return test(wanted, value)
    except ValueError:  # no number, date or address
        return False


_VARIABLE = re.compile(r"\$\{([^},]+)(?:,\s*'([^']*)')?\}")
_LITERAL = {"*": "\ue000", "?": "\ue001", "$": "$"}  # stand-ins that no pattern holds


def _filled(text: str, context: Context) -> str | None:
    """The text with its policy variables filled in; None where one has no value. What they held is no pattern."""
    if "${" not in text:
        return text
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name = found[1].strip()
        if name in _LITERAL:
            return _LITERAL[name]
        values = context.get(name.lower())
        if values is None or len(values) != 1:
            missing = missing or found[2] is None
            return found[2] or ""
        return values[0].replace("*", _LITERAL["*"]).replace("?", _LITERAL["?"])

    filled = _VARIABLE.sub(value, text)
    return None if missing else filled


@lru_cache(maxsize=8192)
def _expression(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    for sign, stand_in in (("*", _LITERAL["*"]), ("?", _LITERAL["?"])):
        expression = expression.replace(re.escape(stand_in), re.escape(sign))
    return re.compile(expression, re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL)


def _like(pattern: str, value: str, ignore_case: bool = False) -> bool:
    return pattern == "*" or _expression(pattern, ignore_case).fullmatch(value) is not None


def _is_arn(pattern: str, value: str) -> bool:
    """Each of the six parts by itself: a wildcard does not reach over a colon, but for those of the last part."""
    patterns, parts = pattern.split(":", 5), value.split(":", 5)
    if pattern == "*":
        return True
    return len(patterns) == len(parts) == 6 and all(map(_like, patterns, parts))


def _plain(value: str) -> str:
    return value.replace(_LITERAL["*"], "*").replace(_LITERAL["?"], "?")


def _in_network(wanted: str, value: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


def _date(text: str) -> datetime:
    if re.fullmatch(r"-?\d+(\.\d+)?", text) and not re.fullmatch(r"\d{4}", text):
        return datetime.fromtimestamp(float(text), UTC)
    date = datetime.fromisoformat(text if len(text) != 4 else f"{text}-01-01")
    return date if date.tzinfo else date.replace(tzinfo=UTC)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: _plain(wanted) == value,
    "StringEqualsIgnoreCase": lambda wanted, value: _plain(wanted).lower() == value.lower(),
    "StringLike": _like,
    "ArnEquals": _is_arn,
    "ArnLike": _is_arn,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "BinaryEquals": lambda wanted, value: wanted == value,
    "NumericEquals": lambda wanted, value: float(value) == float(wanted),
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
    "NumericLessThanEquals": lambda wanted, value: float(value) <= float(wanted),
    "NumericGreaterThan": lambda wanted, value: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, value: float(value) >= float(wanted),
    "DateEquals": lambda wanted, value: _date(value) == _date(wanted),
    "DateLessThan": lambda wanted, value: _date(value) < _date(wanted),
    "DateLessThanEquals": lambda wanted, value: _date(value) <= _date(wanted),
    "DateGreaterThan": lambda wanted, value: _date(value) > _date(wanted),
    "DateGreaterThanEquals": lambda wanted, value: _date(value) >= _date(wanted),
    "IpAddress": _in_network,
}


def _list(value: Any) -> list[str]:
    if type(value) is str:
        return [value]
    values = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
