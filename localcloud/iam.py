"""IAM: policies evaluated with their conditions, and SimulatePrincipalPolicy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Any

from moto.core.responses import ActionResult
from moto.iam import urls
from moto.iam.access_control import PermissionResult
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, iam_backends
from moto.iam.responses import IamResponse

from localcloud import gaps, policies
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
        documents, boundary = _policies_of(self.backend, self.params["PolicySourceArn"])
        documents += self.params.get("PolicyInputList") or []
        context = {
            entry["ContextKeyName"].lower(): entry["ContextKeyValues"]
            for entry in self.params.get("ContextEntries") or []
        }
        missing = _missing_keys([*documents, *([boundary] if boundary else [])], context)
        pairs = product(self.params["ActionNames"], self.params.get("ResourceArns") or ["*"])
        results = []
        for action, resource in pairs:
            decision = _decide(documents, action, resource, context)
            if boundary is not None and decision == PermissionResult.PERMITTED:
                decision = _decide([boundary], action, resource, context)
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": _DECISIONS[decision],
                    "MatchedStatements": [],
                    "MissingContextValues": missing,
                }
            )
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def allows(role: Any, action: str, resource: str = "*", context: dict[str, list[str]] | None = None) -> bool:
    """Whether the policies and the boundary of a role, as moto has it, let it act; `context` by lower-case key."""
    documents, boundary = _policies_of(iam_backends[role.account_id][role.partition], role.arn)
    bounds = [documents, *([[boundary]] if boundary else [])]
    return all(_decide(one, action, resource, context or {}) == PermissionResult.PERMITTED for one in bounds)


def _policies_of(backend: IAMBackend, arn: str) -> tuple[list[str], str | None]:
    """The policy documents of a role or user, and its permissions boundary."""
    kind, _, path = arn.split(":")[-1].partition("/")
    name = path.rsplit("/", 1)[-1]
    if kind == "role":
        role = backend.get_role(name)
        inline = [backend.get_role_policy(name, policy)[1] for policy in backend.list_role_policies(name)]
        attached = list(role.managed_policies.values())
        boundary = role.permissions_boundary_arn
    elif kind == "user":
        user = backend.get_user(name)
        inline = [
            backend.get_user_policy(name, policy)["policy_document"]
            for policy in backend.list_user_policies(name)
        ]
        attached = list(user.managed_policies.values())
        if backend.get_groups_for_user(name):
            raise NotImplementedError("SimulatePrincipalPolicy for a user in a group")
        boundary = None
    else:
        raise NotFoundException(f"{arn} is neither a role nor a user.")
    documents = inline + [_default_document(policy) for policy in attached]
    return documents, _document_of(backend, boundary) if boundary else None


def _document_of(backend: IAMBackend, arn: str) -> str:
    name = arn.rpartition("/")[2]
    if arn.startswith(f"arn:{backend.partition}:iam::aws:policy/") and arn not in backend.managed_policies:
        return _aws_document(name)
    return _default_document(backend.get_policy(arn))


@cache
def _aws_document(name: str) -> str:
    """AWS's own policies: moto has them at hand, and knows them only when it is told to load all thousand."""
    known = json.loads(aws_managed_policies_data)
    if name not in known:
        raise NotFoundException(f"Policy {name} not found")
    return json.dumps(known[name]["Document"])


def _default_document(policy: Any) -> str:
    return next(str(version.document) for version in policy.versions if version.is_default)


def _statements(document: str) -> list[dict[str, Any]]:
    statements = json.loads(document)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _missing_keys(documents: Iterable[str], context: dict[str, list[str]]) -> list[str]:
    """The context keys that the policies' conditions ask for and nobody gave."""
    keys = {
        key
        for document in documents
        for statement in _statements(document)
        for block in statement.get("Condition", {}).values()
        for key in block
    }
    return sorted(key for key in keys if key.lower() not in context)


def _decide(
    documents: Iterable[str], action: str, resource: str, context: dict[str, list[str]]
) -> PermissionResult:
    found = PermissionResult.NEUTRAL
    for document in documents:
        for statement in _statements(document):
            result = policies.evaluate(statement, action, resource, None, context)
            if result == PermissionResult.DENIED:
                return result
            if result == PermissionResult.PERMITTED:
                found = result
    return found


def install(_: Config) -> None:
    policies.install()
    gaps.replace_responses(urls, Iam)
