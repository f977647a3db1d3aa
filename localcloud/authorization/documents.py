"""The policies of a principal, parsed once for each document."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

from localcloud.authorization.principals import Principal

Statement = tuple[str, dict[str, Any]]  # where it is from: "<policy>/<sid or index>", and itself


@dataclass(frozen=True)
class Policies:
    identity: tuple[Statement, ...]
    boundary: tuple[Statement, ...] | None
    tags: dict[str, str]


@lru_cache(maxsize=4096)
def statements(policy: str, document: str) -> tuple[Statement, ...]:
    """Raises ValueError where the document is no policy."""
    parsed = json.loads(document)
    if isinstance(parsed, dict) and parsed.get("Version") != "2012-10-17":
        parsed = json.loads(document.replace("${", "${$}{"))  # the older language has no variables
    found = parsed.get("Statement", []) if isinstance(parsed, dict) else [None]
    found = found if isinstance(found, list) else [found]
    if not all(map(_is_statement, found)):
        raise ValueError(f"{policy} has a statement without effect or action")
    return tuple((f"{policy}/{one.get('Sid') or index}", one) for index, one in enumerate(found))


def _is_statement(value: Any) -> bool:
    return (
        isinstance(value, dict) and "Effect" in value and not value.keys().isdisjoint(("Action", "NotAction"))
    )


def policies_of(principal: Principal) -> Policies:
    """Nothing for a role or user that is gone meanwhile."""
    backend = iam_backends[principal.account]["aws"]
    if principal.kind == "role":
        owner: Any = role_of(principal.identity)
        given_to = principal.user_id.partition(":")[0]
        if owner is not None and given_to not in ("", owner.id):
            owner = None  # a session of another role, which had the name before
    else:
        owner = backend.users.get(principal.name)
    if owner is None:
        return Policies((), None, {})
    found = [*_of(owner)]
    if principal.kind == "user":
        for group in list(backend.groups.values()):
            if owner in group.users:
                found += _of(group)
    boundary = getattr(owner, "permissions_boundary_arn", None)
    bounds = statements(_short(boundary), _document(backend, boundary)) if boundary else None
    tags = owner.tags or {}
    if isinstance(tags, dict):  # by key, as moto has those of roles
        tags = list(tags.values())
    return Policies(tuple(found), bounds, {tag["Key"]: tag["Value"] for tag in tags})


def find_role(account: str, name: str) -> Any:
    """moto's role; None where there is none."""
    roles = iam_backends[account]["aws"].roles
    return next((role for role in list(roles.values()) if role.name == name), None)


def role_of(arn: str) -> Any:
    """moto's role with this ARN, path and all: rights to take on or hand over "role/ci/*" are none for "role/admin"."""
    role = find_role(arn.split(":")[4], arn.rpartition("/")[2]) if arn.count(":") >= 5 else None
    return role if role is not None and role.arn == arn else None


def _of(owner: Any) -> Iterable[Statement]:
    for name, document in list(owner.policies.items()):
        yield from statements(name, document if isinstance(document, str) else json.dumps(document))
    for policy in list(owner.managed_policies.values()):
        yield from statements(_short(policy.arn), default_document(policy))


def _document(backend: Any, arn: str) -> str:
    if arn.startswith("arn:aws:iam::aws:policy/") and arn not in backend.managed_policies:
        return aws_document(arn.rpartition("/")[2])
    return default_document(backend.get_policy(arn))


def by_arn(account: str, arn: str) -> str:
    """The document of a managed policy."""
    return _document(iam_backends[account]["aws"], arn)


def merged(found: Iterable[str]) -> str:
    """One document with the statements of all."""
    together = [one for document in found for _, one in statements("", document)]
    return json.dumps({"Version": "2012-10-17", "Statement": together})


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]


def default_document(policy: Any) -> str:
    return next(str(version.document) for version in policy.versions if version.is_default)


@cache
def aws_document(name: str) -> str:
    """AWS's own policies: moto has them at hand, and knows them only when it is told to load all thousand."""
    known = json.loads(aws_managed_policies_data)
    if name not in known:
        raise NotFoundException(f"Policy {name} not found")
    return json.dumps(known[name]["Document"])
