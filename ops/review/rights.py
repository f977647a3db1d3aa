"""What a plan changes about who may do what, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ops.review import grants, spoken
from ops.review.facts import RightsChange
from ops.review.grants import Condition, Grant
from ops.review.resources import Resource, resources

Kind = Literal[
    "public", "account", "admin", "escalation", "wildcard", "condition", "deny", "boundary", "plain"
]

# What nobody may hand out or rewrite without being able to give itself everything else.
ESCALATING = re.compile(
    r"(iam:(Pass|Put|Attach|Create|Update|Add|Set|Delete(Role|User)PermissionsBoundary|\*).*"
    r"|sts:AssumeRole.*|sts:\*|kms:(PutKeyPolicy|CreateGrant|\*)|s3:PutBucketPolicy|s3:DeleteBucketPolicy"
    r"|lambda:(UpdateFunctionCode|AddPermission)|organizations:.*)",
    re.IGNORECASE,
)
# Actions that know no resources, or only tell: AWS takes nothing but * for them.
WITHOUT_RESOURCES = re.compile(
    r"(?!s3:List(Bucket|Object))[a-z0-9-]+:(Describe|List).*|ecr:GetAuthorizationToken|xray:Put.*"
    r"|cloudwatch:(PutMetricData|Get.*)|sts:GetCallerIdentity|s3:ListAllMyBuckets",
    re.IGNORECASE,
)
BROAD_MANAGED = re.compile(r"(Administrator|PowerUser|FullAccess|IAMFull)")


@dataclass(frozen=True)
class Change:
    """A change of rights, and what makes it worth a look."""

    address: str
    who: str
    kind: Kind
    widens: bool
    text: str
    fresh: bool  # the holder is made by this very plan, so that nothing of it is known to be more than before


@dataclass(frozen=True)
class _Holder:
    """A policy somewhere in a resource."""

    resource: Resource
    who: str
    before: frozenset[Grant]
    after: frozenset[Grant]
    fresh: bool
    sees: Callable[[Grant], bool]  # which of its grants are open to anybody


def changes(plan: dict[str, Any]) -> list[RightsChange]:
    """Return the changes of rights in words, what widens first."""
    return [
        RightsChange(one.address, one.who, "widens" if one.widens else "narrows", one.text)
        for one in sorted(found(plan), key=lambda one: not one.widens)
    ] + [
        RightsChange(
            one.address,
            _who(one),
            "changes",
            "what it may do is known only when the plan is applied: look at the policy's source",
        )
        for one in resources(plan)
        if one.action == "update" and _POLICIES.get(one.type) and not one.knows(_POLICIES[one.type])
    ]


def found(plan: dict[str, Any]) -> list[Change]:
    """Return the changes of rights by kind."""
    all_resources = resources(plan)
    own = account(plan)
    fresh_roles = {
        one.called("name") for one in all_resources if one.type == "aws_iam_role" and one.action == "create"
    }
    known: list[Change] = []
    for one in all_resources:
        if one.action not in {"keep", "forget"}:
            known += _boundary(one)
            known += _attachment(one, fresh_roles)
            for holder in _holders(one, fresh_roles):
                known += _compared(holder, own)
    return known


def account(plan: dict[str, Any]) -> str | None:
    """Return the account that the plan is for."""
    for one in resources(plan):
        for state in (one.before, one.after):
            match = re.match(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}):", str(state.get("arn", "")))
            if match:
                return match[1]
    return None


_POLICIES = {
    "aws_iam_role_policy": "policy",
    "aws_iam_policy": "policy",
    "aws_iam_user_policy": "policy",
    "aws_iam_group_policy": "policy",
    "aws_iam_role": "assume_role_policy",
    "aws_s3_bucket_policy": "policy",
    "aws_kms_key": "policy",
    "aws_kms_key_policy": "policy",
    "aws_sns_topic_policy": "policy",
    "aws_sqs_queue_policy": "policy",
    "aws_ecr_repository_policy": "policy",
    "aws_vpc_endpoint": "policy",
}


def _holders(one: Resource, fresh_roles: set[str]) -> Iterator[_Holder]:
    attribute = _POLICIES.get(one.type)
    if attribute is not None and (not one.after or one.knows(attribute)):
        before, after = (grants.read(state.get(attribute)) for state in (one.before, one.after))
        fresh = one.action == "create" and (
            one.type == "aws_iam_role" or one.will("role") in {*fresh_roles, None}
        )
        # Whoever is in the network may use an endpoint in it: its policy is for everybody as a matter of course.
        sees = (lambda _: False) if one.type == "aws_vpc_endpoint" else (lambda grant: grant.is_public)
        if one.type == "aws_vpc_endpoint" and one.action == "create":
            return
        if one.action == "destroy" and one.type in {"aws_iam_role", "aws_kms_key", "aws_vpc_endpoint"}:
            return  # with it goes what the rights are of
        yield _Holder(one, _who(one), before, after, fresh, sees)
    if one.type in {"aws_lambda_permission", "aws_lambda_function_url"}:
        synthetic = _permission if one.type == "aws_lambda_permission" else _url
        before, after = (
            frozenset([synthetic(state)]) if state else frozenset() for state in (one.before, one.after)
        )
        yield _Holder(one, _who(one), before, after, one.action == "create", lambda grant: grant.is_public)


def _permission(state: dict[str, Any]) -> Grant:
    principal = state.get("principal") or "*"
    kind = "Service" if principal.endswith(".amazonaws.com") else "AWS"
    conditions: set[Condition] = set()
    for name, operator, key in (
        ("source_arn", "ArnLike", "aws:SourceArn"),
        ("source_account", "StringEquals", "aws:SourceAccount"),
        ("principal_org_id", "StringEquals", "aws:PrincipalOrgID"),
    ):
        if state.get(name):
            conditions.add((operator, key, frozenset([str(state[name])])))
    # With IAM authorization a URL still asks every caller for a signature of somebody in an account.
    return Grant(
        "Allow",
        f"{kind}:{principal}",
        str(state.get("action")),
        f"the function {state.get('function_name')}",
        frozenset(conditions),
    )


def _url(state: dict[str, Any]) -> Grant:
    everybody = state.get("authorization_type") == "NONE"
    return Grant(
        "Allow",
        "AWS:*" if everybody else "AWS:signed",
        "lambda:InvokeFunctionUrl",
        f"the function {str(state.get('function_name')).rpartition(':')[2]}",
    )


def _who(one: Resource) -> str:
    if one.type == "aws_iam_role_policy":
        return f"the role {one.called('role')}"
    names = {
        "aws_iam_role": "the role {}",
        "aws_iam_policy": "whoever has the policy {}",
        "aws_iam_user_policy": "the user {}",
        "aws_iam_group_policy": "the group {}",
        "aws_s3_bucket_policy": "the bucket {}",
        "aws_kms_key": "the key {}",
        "aws_kms_key_policy": "the key {}",
        "aws_sns_topic_policy": "the topic {}",
        "aws_sqs_queue_policy": "the queue {}",
        "aws_ecr_repository_policy": "the repository {}",
        "aws_vpc_endpoint": "what goes through the network's endpoint {}",
        "aws_lambda_permission": "the function {}",
        "aws_lambda_function_url": "the URL of the function {}",
    }
    name = one.called("user", "group", "bucket", "repository", "function_name", "service_name", "name", "arn")
    return names[one.type].format(name.rpartition(":")[2])


def _boundary(one: Resource) -> list[Change]:
    pair = one.becomes("permissions_boundary")
    if pair is None or one.type not in {"aws_iam_role", "aws_iam_user"}:
        return []
    who = f"the role {one.called('name')}"
    before, after = (spoken.arn(value) if value else None for value in pair)
    if not after:
        text = f"is no longer held within {before}: whatever its policies say holds"
        return [Change(one.address, who, "boundary", True, text, False)]
    if not before:
        return [Change(one.address, who, "plain", False, f"is held within {after} from now on", False)]
    return [Change(one.address, who, "boundary", True, f"is held within {after} instead of {before}", False)]


def _attachment(one: Resource, fresh_roles: set[str]) -> list[Change]:
    if one.type != "aws_iam_role_policy_attachment":
        return []
    role, said = one.called("role"), []
    if one.goes:
        text = f"may no longer do what {spoken.arn(str(one.was('policy_arn')))} allows"
        said.append(Change(one.address, f"the role {role}", "plain", False, text, False))
    if one.after and one.will("policy_arn"):
        policy = spoken.arn(str(one.will("policy_arn")))
        kind: Kind = "admin" if BROAD_MANAGED.search(policy) else "plain"
        text = f"may now also do all that {policy} allows"
        said.append(Change(one.address, f"the role {role}", kind, True, text, role in fresh_roles))
    return said


def _compared(holder: _Holder, own: str | None) -> Iterator[Change]:
    def allowed(side: frozenset[Grant], effect: str) -> list[Grant]:
        return [grant for grant in side if grant.effect == effect]

    one, who = holder.resource, holder.who
    allows = [allowed(side, "Allow") for side in (holder.before, holder.after)]
    denies = [allowed(side, "Deny") for side in (holder.before, holder.after)]
    for key, together in _grouped(
        grants.added(*allows), lambda grant: _kind(grant, holder, allows[0], own)
    ).items():
        kind, told = key[0], "may now also"
        text = _sentence(one, together, told, _broader(together[0], allows[0]) if kind != "plain" else None)
        yield Change(one.address, who, kind, True, text, holder.fresh)
    if one.action == "destroy" and one.type == "aws_iam_role_policy":
        return  # with its role
    for together in _grouped(grants.added(denies[1], denies[0]), lambda _: "deny").values():
        text = _sentence(one, together, "is no longer kept from: may", None)
        yield Change(one.address, who, "deny", True, text, False)
    for together in _grouped(grants.added(allows[1], allows[0]), lambda _: "plain").values():
        yield Change(one.address, who, "plain", False, _sentence(one, together, "may no longer", None), False)
    for together in _grouped(grants.added(*denies), lambda _: "plain").values():
        text = _sentence(one, together, "is now kept from: may not", None)
        if one.action != "create":
            yield Change(one.address, who, "plain", False, text, False)


def _kind(grant: Grant, holder: _Holder, before: Iterable[Grant], own: str | None) -> Kind:
    """Return what of a new grant is most worth a look."""
    if holder.sees(grant):
        return "public"
    if grant.account is not None and own is not None and grant.account != own:
        return "account"
    if grant.action.startswith("!") or grant.resource.startswith("!"):
        return "wildcard"
    if grant.action in {"*", "*:*"} or (grant.action.endswith(":*") and grant.resource == "*"):
        return "admin"
    if ESCALATING.fullmatch(grant.action) and holder.resource.type != "aws_iam_role":
        return "escalation"
    if any(earlier.without_conditions().reaches(grant) for earlier in before):
        return "condition"
    narrower = any(grant.reaches(earlier) for earlier in before)
    anything = grant.resource == "*" and not WITHOUT_RESOURCES.fullmatch(grant.action)
    in_key = holder.resource.type.startswith("aws_kms_key")  # where * is that key
    return "wildcard" if (anything and not in_key) or narrower or grant.action.endswith(":*") else "plain"


def _broader(grant: Grant, before: Iterable[Grant]) -> str | None:
    """Return what there was of it before, in words."""
    for earlier in before:
        if earlier.without_conditions().reaches(grant):
            gone = sorted(earlier.conditions - grant.conditions)
            return f"without having to be one for whom {spoken.conditions(gone)}" if gone else None
    inner = [earlier for earlier in before if grant.reaches(earlier)]
    narrow = sorted({earlier.resource for earlier in inner if earlier.resource != grant.resource})
    if narrow:
        return f"not only {spoken.resources(narrow)}"
    actions = sorted({earlier.action for earlier in inner if earlier.action != grant.action})
    return f"not only {', '.join(actions)}" if actions else None


def _grouped(
    found_grants: Iterable[Grant], kind: Callable[[Grant], Kind]
) -> dict[tuple[Any, ...], list[Grant]]:
    """Put those together of which one sentence can tell: the same actions for the same one on the same condition."""
    by_resource: dict[tuple[Any, ...], list[Grant]] = {}
    for grant in found_grants:
        key = (kind(grant), grant.principal, grant.resource, grant.conditions)
        by_resource.setdefault(key, []).append(grant)
    grouped: dict[tuple[Any, ...], list[Grant]] = {}
    for (of_kind, principal, _, conditions), together in by_resource.items():
        actions = frozenset(grant.action for grant in together)
        grouped.setdefault((of_kind, principal, actions, conditions), []).extend(together)
    return grouped


def _sentence(one: Resource, together: list[Grant], told: str, instead: str | None) -> str:
    """Return what is said of the holder."""
    grant = together[0]
    what = sorted({each.action for each in together}), sorted({each.resource for each in together})
    suffix = f", {instead}" if instead else ""
    if grant.conditions:
        suffix += f", where {spoken.conditions(sorted(grant.conditions))}"
    if one.type == "aws_iam_role":
        trusted = {"may now also": "may now be taken on", "may no longer": "may no longer be taken on"}
        return f"{trusted.get(told, told + ' be taken on')} by {spoken.principal(grant.principal)}{suffix}"
    if grant.principal and one.type != "aws_vpc_endpoint":
        return f"{spoken.principal(grant.principal)} {told} {spoken.deed(*what)}{suffix}"
    return f"{told} {spoken.deed(*what)}{suffix}"
