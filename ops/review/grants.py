"""Policies as what they allow and deny, compared by meaning: order, spelling and statements' names do not matter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

Condition = tuple[str, str, frozenset[str]]  # operator, key, values
# With one of these, and an operator that demands it, a grant to everybody is one to those that the condition names.
NARROWING_KEYS = {
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
}
NARROWING_OPERATORS = {"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike"}


@dataclass(frozen=True)
class Grant:
    """One action on one resource, allowed or denied to one principal."""

    effect: Literal["Allow", "Deny"]
    principal: (
        str  # "": the policy's holder; otherwise type:identifier, such as AWS:* or Service:ec2.amazonaws.com
    )
    action: str  # with ! before it: all others
    resource: str  # likewise
    conditions: frozenset[Condition] = frozenset()

    def covers(self, other: Grant) -> bool:
        """Tell whether whatever the other is about, this is about too."""
        return self.reaches(other) and all(
            any(_weaker(mine, theirs) for theirs in other.conditions) for mine in self.conditions
        )

    def reaches(self, other: Grant) -> bool:
        """Tell the same, whatever the conditions."""
        return (
            self.effect == other.effect
            and takes_in(self.principal, other.principal)
            and takes_in(self.action.lower(), other.action.lower())
            and takes_in(self.resource, other.resource)
        )

    @property
    def is_public(self) -> bool:
        """Whether anybody at all may make use of it."""
        return self.principal in {"AWS:*", "*:*"} and not any(map(_narrows, self.conditions))

    @property
    def account(self) -> str | None:
        """The account of the principal, where it is one of AWS's accounts or somebody in it."""
        found = re.fullmatch(r"AWS:(?:arn:[a-z-]+:(?:iam|sts)::)?([0-9]{12})(?::.*)?", self.principal)
        return found[1] if found else None

    def without_conditions(self) -> Grant:
        return replace(self, conditions=frozenset())


def read(policy: str | dict[str, Any] | None) -> frozenset[Grant]:
    """Return the policy's grants; none for no policy."""
    if not policy:
        return frozenset()
    document = json.loads(policy) if isinstance(policy, str) else policy
    return frozenset(
        grant for statement in _list(document.get("Statement")) for grant in _of_statement(statement)
    )


def is_readable(policy: str | None) -> bool:
    """Tell whether it is a policy, or none: one that Terraform calls sensitive is hidden."""
    try:
        return not policy or isinstance(json.loads(policy), dict)
    except ValueError:
        return False


def added(before: Iterable[Grant], after: Iterable[Grant]) -> list[Grant]:
    """Return the grants of the one after that no grant before covers, without those that others among them cover."""
    known = list(before)
    new = [grant for grant in after if not any(one.covers(grant) for one in known)]
    return sorted(
        (one for one in new if not any(other != one and other.covers(one) for other in new)),
        key=lambda grant: (grant.principal, grant.resource, grant.action),
    )


def _of_statement(statement: dict[str, Any]) -> Iterable[Grant]:
    conditions = frozenset(
        (operator, key, frozenset(map(_value, _list(values))))
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, values in keys.items()
    )
    for principal in _principals(statement):
        for action in _either(statement, "Action"):
            for resource in _either(statement, "Resource"):
                yield Grant(statement.get("Effect", "Allow"), principal, action, resource, conditions)


def _value(value: Any) -> str:
    """IAM takes true and "true" for the same."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _either(statement: dict[str, Any], name: str) -> list[str]:
    if f"Not{name}" in statement:
        return ["!" + ", ".join(sorted(_list(statement[f"Not{name}"])))]
    return _list(statement.get(name, "*")) or ["*"]  # a trust policy names no resource: the role itself


def _principals(statement: dict[str, Any]) -> list[str]:
    if "NotPrincipal" in statement:
        return ["!" + json.dumps(statement["NotPrincipal"], sort_keys=True)]
    principal = statement.get("Principal")
    if principal is None:
        return [""]
    if isinstance(principal, str):
        return [f"AWS:{principal}"]
    return [f"{kind}:{one}" for kind, names in principal.items() for one in _list(names)]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _narrows(condition: Condition) -> bool:
    """Tell whether only some are left of everybody: "IfExists" lets in whoever has no such key, and * everybody."""
    operator, key, values = condition
    return (
        operator.lower().removeprefix("foranyvalue:") in NARROWING_OPERATORS
        and key.lower() in NARROWING_KEYS
        and all(value.strip("*?") for value in values)
    )


def _weaker(mine: Condition, theirs: Condition) -> bool:
    """Tell whether my condition holds wherever theirs does."""
    if mine[:2] != theirs[:2]:
        return False
    negated = "Not" in mine[0]  # more values are then more that is kept out
    return mine[2] <= theirs[2] if negated else mine[2] >= theirs[2]


def takes_in(pattern: str, text: str) -> bool:
    """Tell whether an IAM pattern takes in all that the other one does."""
    if pattern.startswith("!") or text.startswith("!"):
        return pattern == text or pattern == "*"
    return bool(_compiled(pattern).fullmatch(text))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
