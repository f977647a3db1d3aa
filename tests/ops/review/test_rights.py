from __future__ import annotations

from typing import Any

import pytest

from ops.review import grants, rights
from tests.ops.review.plans import allow, deny, entry, plan, policy

BUCKET = "arn:aws:s3:::photos"
ROLE = "arn:aws:iam::123456789012:role/kennel-dev-lambda"
OTHER = "arn:aws:iam::999988887777:role/partner"


def of_role(before: list[Any], after: list[Any]) -> dict[str, Any]:
    return entry(
        "aws_iam_role_policy.a",
        {"role": "kennel-dev-lambda", "policy": policy(*before)},
        {"role": "kennel-dev-lambda", "policy": policy(*after)},
    )


def said(*entries: dict[str, Any]) -> list[str]:
    known = entry("aws_iam_role.known", {"arn": ROLE}, {"arn": ROLE})
    return [f"{one.kind}: {one.who} {one.text}" for one in rights.changes(plan(known, *entries))]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            [allow("s3:GetObject", f"{BUCKET}/models/*")],
            [allow("s3:GetObject", f"{BUCKET}/*")],
            "widens: the role kennel-dev-lambda may now also read (s3:GetObject) everything in the bucket photos, "
            "not only everything below models/ in the bucket photos",
        ),
        (
            [],
            [allow("sagemaker:InvokeEndpoint", "*")],
            "widens: the role kennel-dev-lambda may now also ask (sagemaker:InvokeEndpoint) any endpoint",
        ),
        (
            [allow("s3:GetObject", f"{BUCKET}/*")],
            [],
            "narrows: the role kennel-dev-lambda may no longer read (s3:GetObject) everything in the bucket photos",
        ),
        (
            [deny("s3:DeleteObject", f"{BUCKET}/*")],
            [],
            "widens: the role kennel-dev-lambda is no longer forbidden to delete (s3:DeleteObject) everything in the "
            "bucket photos",
        ),
    ],
)
def test_a_change_is_told_so_that_one_need_not_know_policies(
    before: list[Any], after: list[Any], words: str
) -> None:
    assert said(of_role(before, after)) == [words]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([allow(["s3:GetObject", "s3:PutObject"])], [allow("s3:PutObject"), allow("s3:GetObject")]),
        ([allow("s3:getobject")], [allow("S3:GetObject", ["*"])]),
        ([allow("s3:*")], [allow("s3:*"), allow("s3:GetObject", f"{BUCKET}/*")]),
        ([allow("s3:GetObject", Sid="A")], [allow("s3:GetObject", Sid="B")]),
        (
            [deny("*", Condition={"Bool": {"aws:SecureTransport": "false"}})],
            [deny("*", Condition={"Bool": {"aws:SecureTransport": False}})],
        ),
    ],
)
def test_what_means_the_same_is_no_change(before: list[Any], after: list[Any]) -> None:
    assert said(of_role(before, after)) == []


def kinds(*entries: dict[str, Any]) -> list[str]:
    known = entry("aws_iam_role.known", {"arn": ROLE}, {"arn": ROLE})
    return sorted(one.kind for one in rights.found(plan(known, *entries)) if one.widens)


ON_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "123456789012"}}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ([], [allow("iam:PassRole", ROLE)], "escalation"),
        ([], [allow("iam:P*", ROLE)], "escalation"),
        ([], [allow("sts:Assume*", ROLE)], "escalation"),
        ([], [allow("*")], "admin"),
        ([], [allow("s3:PutObject", "*")], "wildcard"),
        ([], [allow("ec2:DescribeVpcs", "*")], "plain"),
        ([], [{"Effect": "Allow", "Action": "s3:GetObject", "NotResource": f"{BUCKET}/*"}], "wildcard"),
        (
            [allow("s3:GetObject", f"{BUCKET}/*", Condition=ON_ACCOUNT)],
            [allow("s3:GetObject", f"{BUCKET}/*")],
            "condition",
        ),
        ([deny("s3:*")], [], "deny"),
    ],
)
def test_what_is_worth_a_look_is_told_apart(before: list[Any], after: list[Any], kind: str) -> None:
    assert kinds(of_role(before, after)) == [kind]


def of_bucket(*statements: dict[str, Any]) -> dict[str, Any]:
    return entry(
        "aws_s3_bucket_policy.a",
        {"bucket": "photos", "policy": policy()},
        {"bucket": "photos", "policy": policy(*statements)},
    )


@pytest.mark.parametrize(
    ("principal", "more", "kind"),
    [
        ("*", {}, "public"),
        ({"AWS": "*"}, {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, "plain"),
        ({"AWS": "*"}, {"Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}, "public"),
        ({"AWS": "*"}, {"Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}, "public"),
        ({"AWS": "*"}, {"Condition": {"ArnLike": {"aws:PrincipalArn": "*"}}}, "public"),
        ({"AWS": OTHER}, {}, "account"),
        ({"AWS": "999988887777"}, {}, "account"),
        ({"AWS": ROLE}, {}, "plain"),
        ({"Service": "logging.s3.amazonaws.com"}, {}, "plain"),
    ],
)
def test_who_may_come_in_is_told_apart(principal: Any, more: dict[str, Any], kind: str) -> None:
    assert kinds(of_bucket(allow("s3:GetObject", f"{BUCKET}/*", Principal=principal, **more))) == [kind]


def test_a_condition_with_more_values_is_weaker_and_with_more_exceptions_stronger() -> None:
    def grant(operator: str, *values: str) -> grants.Grant:
        return next(
            iter(grants.read(policy(allow("s3:GetObject", Condition={operator: {"k": list(values)}}))))
        )

    assert grant("StringEquals", "a", "b").covers(grant("StringEquals", "a"))
    assert not grant("StringEquals", "a").covers(grant("StringEquals", "a", "b"))
    assert grant("StringNotEquals", "a").covers(grant("StringNotEquals", "a", "b"))
    assert not grant("StringNotEquals", "a", "b").covers(grant("StringNotEquals", "a"))


def test_a_first_deployment_tells_its_rights_and_finds_none_worth_a_look() -> None:
    role = entry("aws_iam_role.a", None, {"name": "fresh", "assume_role_policy": policy()})
    of_it = entry(
        "aws_iam_role_policy.a", None, {"role": "fresh", "policy": policy(allow("iam:PassRole", ROLE))}
    )
    assert [one.fresh for one in rights.found(plan(role, of_it))] == [True]


def test_a_fresh_role_that_may_give_itself_rights_to_anything_is_worth_a_look() -> None:
    role = entry("aws_iam_role.a", None, {"name": "fresh", "assume_role_policy": policy()})
    of_it = entry(
        "aws_iam_role_policy.a", None, {"role": "fresh", "policy": policy(allow("iam:PutRolePolicy"))}
    )
    assert [(one.kind, one.fresh) for one in rights.found(plan(role, of_it))] == [("escalation", False)]


def test_a_policy_that_is_known_only_later_is_named() -> None:
    later = entry(
        "aws_iam_role_policy.a",
        {"role": "r", "policy": policy(allow("s3:GetObject"))},
        {"role": "r"},
        unknown={"policy": True},
    )
    told = "may do what only the apply will know: its policy names what is made or changed by it"
    assert said(later) == [f"changes: the role r {told}"]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (entry("aws_iam_role.r", {"name": "r"}, {"name": "r"}), ["changes: the role r"]),
        (entry("aws_iam_role.r", None, {"name": "r"}), []),
    ],
)
def test_a_new_policy_that_is_known_only_later_is_named_where_its_role_is_there(
    known: dict[str, Any], told: list[str]
) -> None:
    later = entry("aws_iam_role_policy.a", None, {"role": "r"}, unknown={"policy": True})
    assert [f"{one.kind}: {one.who}" for one in rights.changes(plan(known, later))] == told


def test_a_new_policy_that_is_attached_to_a_role_that_is_there_is_not_taken_for_a_fresh_roles() -> None:
    role = entry("aws_iam_role.r", {"name": "r"}, {"name": "r"})
    new = entry("aws_iam_policy.p", None, {"name": "p", "policy": policy(allow("iam:PassRole", ROLE))})
    attached = entry("aws_iam_role_policy_attachment.a", None, {"role": "r"}, unknown={"policy_arn": True})
    found = rights.found(plan(role, new, attached))
    assert [(one.kind, one.fresh) for one in found] == [("escalation", False), ("plain", False)]
    assert found[1].text == "may now also do all that a policy allows whose name only the apply will know"
    fresh = rights.found(plan(entry("aws_iam_role.r", None, {"name": "r"}), new, attached))
    assert [one.fresh for one in fresh] == [True, True]


def test_a_policy_that_terraform_hides_is_named_where_it_changes() -> None:
    def role_with(before: str, after: str) -> dict[str, Any]:
        return entry(
            "aws_iam_role_policy.a", {"role": "r", "policy": before}, {"role": "r", "policy": after, "x": 1}
        )

    assert said(role_with("(hidden 1)", "(hidden 2)")) == [
        "changes: the role r may do what the plan hides: its policy is sensitive"
    ]
    assert said(role_with("(hidden 1)", "(hidden 1)")) == []
    assert said(entry("aws_iam_role_policy.a", {"role": "r", "policy": "(hidden 1)"}, None)) == []
    beside = role_with("(hidden 1)", "(hidden 1)") | {"address": "aws_iam_role_policy.b"}
    read = entry(
        "aws_iam_role_policy.c", None, {"role": "r", "policy": policy(allow("s3:GetObject", f"{BUCKET}/a"))}
    )
    assert said(beside, read) == [
        "widens: the role r may now also read (s3:GetObject) a in the bucket photos"
    ]


def test_policies_that_a_role_has_in_itself_and_those_of_users_and_groups_are_told_too() -> None:
    def role(*inline: dict[str, Any], managed: list[str]) -> dict[str, Any]:
        blocks = [{"name": f"p{number}", "policy": policy(each)} for number, each in enumerate(inline)]
        return {"name": "r", "inline_policy": blocks, "managed_policy_arns": managed}

    same = allow("s3:GetObject", f"{BUCKET}/*")
    broad = "arn:aws:iam::aws:policy/AdministratorAccess"
    changed = entry("aws_iam_role.r", role(same, managed=[]), role(same, allow("*"), managed=[broad]))
    of_user = entry("aws_iam_user_policy_attachment.a", None, {"user": "u", "policy_arn": broad})
    assert said(changed, of_user) == [
        "widens: the role r and the user u may now also do all that the policy AdministratorAccess allows",
        "widens: the role r may now also do everything with any resource",
    ]
    assert kinds(changed, of_user) == ["admin"] * 3


def test_a_boundary_that_goes_is_told() -> None:
    role = entry(
        "aws_iam_role.a",
        {"name": "r", "permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess"},
        {"name": "r", "permissions_boundary": None},
    )
    assert said(role) == [
        "widens: the role r will not be held within the policy PowerUserAccess any more, whatever policies say"
    ]


def test_what_another_policy_of_the_role_allows_anyway_is_no_change() -> None:
    def named(name: str, before: list[Any], after: list[Any]) -> dict[str, Any]:
        return of_role(before, after) | {"address": f"aws_iam_role_policy.{name}"}

    broad = [allow("s3:GetObject", f"{BUCKET}/*")]
    assert (
        said(named("kept", broad, broad), named("more", [], [allow("s3:GetObject", f"{BUCKET}/a/*")])) == []
    )
    assert said(named("from", broad, []), named("to", [], broad)) == []


def test_those_who_may_do_the_same_are_told_of_together() -> None:
    both = [
        entry(
            f"aws_iam_role_policy.{name}",
            {"role": name, "policy": policy()},
            {
                "role": name,
                "policy": policy(allow("kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/1")),
            },
        )
        for name in ("a", "b")
    ]
    assert said(*both) == ["widens: the roles a and b may now also decrypt with (kms:Decrypt) the key 1"]
