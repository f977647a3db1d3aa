"""Where policies are in a plan, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ops.review import grants
from ops.review.grants import Condition, Grant
from ops.review.resources import Action, Resource, of_types

POLICIES = {
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

HELD_BY = {  # the attribute of a policy that names whose it is
    "aws_iam_role_policy": "role",
    "aws_iam_user_policy": "user",
    "aws_iam_group_policy": "group",
    "aws_s3_bucket_policy": "bucket",
}


@dataclass(frozen=True)
class Holder:
    """A policy somewhere in a resource."""

    resource: Resource
    who: str
    before: frozenset[Grant]
    after: frozenset[Grant]
    fresh: bool  # the plan makes whom it is for
    sees: Callable[[Grant], bool]  # which of its grants are open to anybody
    beside_before: frozenset[Grant] = frozenset()  # what other policies of the same role say
    beside_after: frozenset[Grant] = frozenset()


def made_by(all_resources: Iterable[Resource]) -> set[str]:
    """Return the names of the roles, users, groups and buckets that the plan makes."""
    kinds = {"aws_iam_role", "aws_iam_user", "aws_iam_group", "aws_s3_bucket"}
    return {one.called("bucket", "name") for one in of_types(all_resources, *kinds) if one.action == "create"}


def of(one: Resource, all_resources: Iterable[Resource], fresh: set[str]) -> Iterator[Holder]:
    """Yield the policies in a resource, of which both sides are known; `fresh` are the names of what the plan makes."""
    if one.type in POLICIES and known(one):
        yield from _with_policy(one, all_resources, fresh)
    if one.type in {"aws_lambda_permission", "aws_lambda_function_url"}:
        synthetic = _permission if one.type == "aws_lambda_permission" else _url
        before, after = (
            frozenset([synthetic(state)]) if state else frozenset() for state in (one.before, one.after)
        )
        yield Holder(one, who(one), before, after, one.action == "create", lambda grant: grant.is_public)


def inline(one: Resource) -> Iterator[Resource]:
    """Yield the policies that a role has in itself, where they change, as if they stood beside it."""
    if one.type != "aws_iam_role" or not one.knows("inline_policy") or one.action not in {"create", "update"}:
        return
    had, has = (
        {block.get("name"): block.get("policy") for block in get("inline_policy") or []}
        for get in (one.was, one.will)
    )
    for name in sorted({*had, *has}, key=str):
        if had.get(name) != has.get(name):
            before, after = (
                {"role": one.called("name"), "policy": policies[name]} if policies.get(name) else {}
                for policies in (had, has)
            )
            action: Action = "update" if before and after else "create" if after else "destroy"
            yield Resource(one.address, "aws_iam_role_policy", one.name, action, before, after, {})


def known(one: Resource) -> bool:
    """Tell whether the plan says what its policy is now and will be: it may be hidden, or for the apply to know."""
    return one.type not in POLICIES or (
        _is_readable(one) and (not one.after or one.knows(POLICIES[one.type]))
    )


def _is_readable(one: Resource) -> bool:
    return all(grants.is_readable(get(POLICIES[one.type])) for get in (one.was, one.will))


def is_for_fresh(one: Resource, all_resources: Iterable[Resource], fresh: set[str]) -> bool:
    """Tell whether the plan makes whom a new policy is for; an unknown name is of something that it makes."""
    if one.type == "aws_iam_policy":  # of what is attached to whom only the apply knows its ARN
        attached = of_types(all_resources, "aws_iam_role_policy_attachment")
        return all(
            each.will("role") in {*fresh, None}
            for each in attached
            if each.after and not each.knows("policy_arn")
        )
    return one.type not in HELD_BY or one.will(HELD_BY[one.type]) in {*fresh, None}


def _with_policy(one: Resource, all_resources: Iterable[Resource], fresh: set[str]) -> Iterator[Holder]:
    # Whoever is in the network may use an endpoint in it: its policy is for everybody as a matter of course.
    of_network = one.type == "aws_vpc_endpoint"
    if of_network and one.action == "create":
        return
    if one.action == "destroy" and one.type in {"aws_iam_role", "aws_kms_key", "aws_vpc_endpoint"}:
        return  # with it goes what the rights are of
    role = one.called("role") if one.type == "aws_iam_role_policy" else None
    if one.action == "destroy" and any(
        other.action == "destroy" and other.called("name") == role
        for other in of_types(all_resources, "aws_iam_role")
    ):
        return  # likewise
    before, after = (grants.read(state.get(POLICIES[one.type])) for state in (one.before, one.after))
    if one.type == "aws_s3_bucket_policy" and _goes(all_resources, one.was("bucket")):
        before = frozenset()
    others = [
        other
        for other in of_types(all_resources, "aws_iam_role_policy")
        if role is not None and other is not one and other.called("role") == role and _is_readable(other)
    ]
    yield Holder(
        one,
        who(one),
        before,
        after,
        one.action == "create" and is_for_fresh(one, all_resources, fresh),
        (lambda _: False) if of_network else (lambda grant: grant.is_public),
        frozenset(grant for other in others for grant in grants.read(other.was("policy"))),
        frozenset(grant for other in others for grant in grants.read(other.will("policy"))),
    )


def _goes(all_resources: Iterable[Resource], bucket: str | None) -> bool:
    return any(one.goes and one.was("bucket") == bucket for one in of_types(all_resources, "aws_s3_bucket"))


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


def who(one: Resource) -> str:
    """Return whose rights they are, or what they are rights to."""
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
