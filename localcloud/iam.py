"""IAM: policies evaluated with their conditions, and SimulatePrincipalPolicy."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from moto.core.responses import ActionResult
from moto.iam import urls
from moto.iam.access_control import PermissionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse

from localcloud import gaps, policies
from localcloud.authorization import documents, principals
from localcloud.config import Config

_DECISIONS = {
    PermissionResult.PERMITTED: "allowed",
    PermissionResult.DENIED: "explicitDeny",
    PermissionResult.NEUTRAL: "implicitDeny",
}


class Iam(IamResponse):
    def simulate_principal_policy(self) -> ActionResult:
        for name in ("ResourcePolicy", "PermissionsBoundaryPolicyInputList", "ResourceHandlingOption"):
            if self.params.get(name):
                raise NotImplementedError(f"SimulatePrincipalPolicy with {name}")
        statements, boundary = _policies_of(self.params["PolicySourceArn"])
        for document in self.params.get("PolicyInputList") or []:
            statements += [one for _, one in documents.statements("PolicyInputList", document)]
        context = {
            entry["ContextKeyName"].lower(): entry["ContextKeyValues"]
            for entry in self.params.get("ContextEntries") or []
        }
        missing = _missing_keys([*statements, *(boundary or [])], context)
        pairs = product(self.params["ActionNames"], self.params.get("ResourceArns") or ["*"])
        results = []
        for action, resource in pairs:
            decision = _decide(statements, action, resource, context)
            detail: dict[str, Any] = {}
            if boundary is not None:
                bounded = _decide(boundary, action, resource, context)
                detail["AllowedByPermissionsBoundary"] = bounded == PermissionResult.PERMITTED
                decision = bounded if decision == PermissionResult.PERMITTED else decision
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": _DECISIONS[decision],
                    "MatchedStatements": [],
                    "MissingContextValues": missing,
                    **({"PermissionsBoundaryDecisionDetail": detail} if detail else {}),
                }
            )
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def allows(role: Any, action: str, resource: str = "*", context: dict[str, list[str]] | None = None) -> bool:
    """Whether the policies and the boundary of a role, as moto has it, let it act; `context` by lower-case key."""
    identity, boundary = _policies_of(role.arn)
    bounds = [identity, *([boundary] if boundary else [])]
    return all(_decide(one, action, resource, context or {}) == PermissionResult.PERMITTED for one in bounds)


def _policies_of(arn: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """The statements of a role or user, and those of its permissions boundary."""
    kind, _, path = arn.split(":")[-1].partition("/")
    account, name = arn.split(":")[4], path.rpartition("/")[2]
    if kind == "role":
        owner = documents.role_of(arn)
        principal = principals.role_session(arn, "", "simulated")
    elif kind == "user":
        owner = iam_backends[account]["aws"].users.get(name)
        principal = principals.user(account, arn, name, "")
    else:
        raise NotFoundException(f"{arn} is neither a role nor a user.")
    if owner is None:
        raise NotFoundException(f"The {kind} with name {name} cannot be found.")
    known = documents.policies_of(principal)
    boundary = None if known.boundary is None else [one for _, one in known.boundary]
    return [one for _, one in known.identity], boundary


def _missing_keys(statements: Iterable[dict[str, Any]], context: dict[str, list[str]]) -> list[str]:
    """The context keys that conditions ask for and nobody gave."""
    keys = {
        key for statement in statements for block in statement.get("Condition", {}).values() for key in block
    }
    return sorted(key for key in keys if key.lower() not in context)


def _decide(
    statements: Iterable[dict[str, Any]], action: str, resource: str, context: dict[str, list[str]]
) -> PermissionResult:
    found = PermissionResult.NEUTRAL
    for statement in statements:
        result = policies.evaluate(statement, action, resource, None, context)
        if result == PermissionResult.DENIED:
            return result
        if result == PermissionResult.PERMITTED:
            found = result
    return found


def install(_: Config) -> None:
    policies.install()
    gaps.replace_responses(urls, Iam)
