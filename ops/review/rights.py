"""What a plan changes about who may do what, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ops.review import grants, holders, spoken
from ops.review.facts import RightsChange
from ops.review.grants import Grant
from ops.review.holders import Holder
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
# Some of them, one of which a pattern such as iam:P* takes in.
ESCALATIONS = (
    "iam:PassRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:CreateAccessKey", "iam:CreatePolicyVersion",
    "iam:UpdateAssumeRolePolicy", "iam:AddUserToGroup", "iam:SetDefaultPolicyVersion",
    "iam:DeleteRolePermissionsBoundary", "sts:AssumeRole", "kms:PutKeyPolicy", "kms:CreateGrant",
    "lambda:UpdateFunctionCode", "lambda:AddPermission",
)  # fmt: skip
# Actions that know no resources, or only tell: AWS takes nothing but * for them.
WITHOUT_RESOURCES = re.compile(
    r"(?!s3:List(Bucket|Object))[a-z0-9-]+:(Describe|List).*|ecr:GetAuthorizationToken|xray:Put.*"
    r"|cloudwatch:(PutMetricData|Get.*)|sts:GetCallerIdentity|s3:ListAllMyBuckets",
    re.IGNORECASE,
)
# What a resource's name is, of services where there is more than a stage's own.
ANYTHING = re.compile(
    r"\*|arn:[^:]*:s3:::\*.*"
    r"|arn:[^:]*:(kms|iam|sts|secretsmanager|ssm|lambda|sagemaker):[^:]*:[^:]*:([a-z-]+[/:])?\*.*"
)
ITSELF = {"aws_iam_role", "aws_kms_key", "aws_kms_key_policy"}  # where * is that role or key
HOLDING = {"aws_iam_role", "aws_s3_bucket"}
HELD_BY = {
    "aws_iam_role_policy": "role",
    "aws_s3_bucket_policy": "bucket",
}  # a new policy's attribute that names it
ATTACHMENTS = {f"aws_iam_{kind}_policy_attachment": kind for kind in ("role", "user", "group")}
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
    keys: frozenset[str] = frozenset()  # of its conditions, in lower case


def changes(plan: dict[str, Any]) -> list[RightsChange]:
    """Return the changes of rights in words, what widens first."""
    alike: dict[tuple[bool, str], list[Change]] = {}
    for one in sorted(found(plan), key=lambda one: not one.widens):
        alike.setdefault((one.widens, one.text), []).append(one)
    return [
        RightsChange(of[0].address, together(one.who for one in of), "widens" if widens else "narrows", text)
        for (widens, text), of in alike.items()
    ] + [
        RightsChange(
            one.address,
            holders.who(one),
            "changes",
            "may do what only the apply will know: its policy names what is made or changed by it"
            if not one.knows(holders.POLICIES[one.type])
            else "may do what the plan hides: its policy is sensitive",
        )
        for one in unknown(resources(plan))
    ]


def together(whose: Iterable[str]) -> str:
    """Return who may do the same: `the roles a, b and c`."""
    names = list(dict.fromkeys(whose))
    roles = [name.removeprefix("the role ") for name in names if name.startswith("the role ")]
    if len(roles) > 1:
        names = [
            f"the roles {spoken.listed(roles)}",
            *(name for name in names if not name.startswith("the role ")),
        ]
    return spoken.listed(names)


def unknown(found_resources: Iterable[Resource]) -> list[Resource]:
    """Return what will have another policy than now, and one that the plan does not tell, of what is there already."""
    everything = list(found_resources)
    fresh = holders.made_by(everything)
    # Interface endpoints have no policy of ours: AWS fills one in.
    return [
        one
        for one in everything
        if one.after
        and not holders.known(one)
        and not (one.knows(name := holders.POLICIES[one.type]) and one.was(name) == one.will(name))
        and (one.before or not holders.is_for_fresh(one, everything, fresh))
        and one.was("vpc_endpoint_type") != "Interface"
    ]


def found(plan: dict[str, Any]) -> list[Change]:
    """Return the changes of rights by kind."""
    all_resources = resources(plan)
    own = account(plan)
    fresh = holders.made_by(all_resources)
    known: list[Change] = []
    for one in all_resources:
        if one.action not in {"keep", "forget"}:
            known += _boundary(one)
            known += _attached(one, fresh)
            for policy in (one, *holders.inline(one)):
                for holder in holders.of(policy, all_resources, fresh):
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


def _boundary(one: Resource) -> list[Change]:
    pair = one.becomes("permissions_boundary")
    if pair is None or one.type not in {"aws_iam_role", "aws_iam_user"}:
        return []
    who = f"the role {one.called('name')}"
    before, after = (spoken.arn(value) if value else None for value in pair)
    if not after:
        text = f"will not be held within {before} any more, whatever policies say"
        return [Change(one.address, who, "boundary", True, text, False)]
    if not before:
        return [Change(one.address, who, "plain", False, f"will be held within {after}", False)]
    return [
        Change(one.address, who, "boundary", True, f"will be held within {after} instead of {before}", False)
    ]


def _attached(one: Resource, fresh: set[str]) -> Iterator[Change]:
    """Yield the policies that an attachment, or a role's own list of them, gives or takes."""
    kind = ATTACHMENTS.get(one.type)
    if kind is not None:
        name, gone = one.called(kind), [one.was("policy_arn")] if one.goes else []
        come = [one.will("policy_arn")] if one.after else []
    elif one.type == "aws_iam_role" and one.knows("managed_policy_arns"):
        kind, name = "role", one.called("name")
        had, has = (get("managed_policy_arns") or [] for get in (one.was, one.will))
        gone, come = [arn for arn in had if arn not in has], [arn for arn in has if arn not in had]
    else:
        return
    who = f"the {kind} {name}"
    for arn in gone:
        text = f"may no longer do what {spoken.arn(str(arn))} allows"
        yield Change(one.address, who, "plain", False, text, False)
    for arn in come:
        policy = spoken.arn(arn) if arn else "a policy"
        text = f"may now also do all that {policy} allows" + (
            "" if arn else " whose name only the apply will know"
        )
        yield Change(
            one.address, who, "admin" if BROAD_MANAGED.search(policy) else "plain", True, text, name in fresh
        )


def _compared(holder: Holder, own: str | None) -> Iterator[Change]:
    (had, has), (shut, shuts) = (
        [_of_effect(side, effect) for side in (holder.before, holder.after)] for effect in ("Allow", "Deny")
    )
    had_beside, has_beside = (
        _of_effect(side, "Allow") for side in (holder.beside_before, holder.beside_after)
    )
    known = had | had_beside
    for key, alike in _grouped(
        grants.added(known, has), lambda grant: _kind(grant, holder, known, own)
    ).items():
        instead = _broader(alike[0], known) if key[0] != "plain" else None
        yield _told(holder, alike, "may now also", key[0], True, instead)
    for alike in _grouped(grants.added(shuts, shut), lambda _: "deny").values():
        yield _told(holder, alike, "is no longer forbidden to", "deny", True)
    for alike in _grouped(grants.added(has | has_beside, had), lambda _: "plain").values():
        yield _told(holder, alike, "may no longer", "plain", False)
    if holder.resource.action != "create":
        for alike in _grouped(grants.added(shut, shuts), lambda _: "plain").values():
            yield _told(holder, alike, "is now forbidden to", "plain", False)


def _of_effect(side: Iterable[Grant], effect: str) -> frozenset[Grant]:
    return frozenset(grant for grant in side if grant.effect == effect)


def _kind(grant: Grant, holder: Holder, before: Iterable[Grant], own: str | None) -> Kind:
    """Return what of a new grant is most worth a look."""
    if holder.sees(grant):
        return "public"
    if grant.account is not None and own is not None and grant.account != own:
        return "account"
    if grant.action.startswith("!") or grant.resource.startswith("!"):
        return "wildcard"
    if grant.action in {"*", "*:*"} or (grant.action.endswith(":*") and grant.resource == "*"):
        return "admin"
    if _escalates(grant.action) and holder.resource.type != "aws_iam_role":
        return "escalation"
    if any(earlier.without_conditions().reaches(grant) for earlier in before):
        return "condition"
    narrower = any(grant.reaches(earlier) for earlier in before)
    anything = ANYTHING.fullmatch(grant.resource) and not WITHOUT_RESOURCES.fullmatch(grant.action)
    if holder.resource.type in ITSELF:
        anything = None
    return "wildcard" if anything or narrower or grant.action.endswith(":*") else "plain"


def _escalates(action: str) -> bool:
    # An action with :* for a name is told of as a wildcard.
    pattern = "*" in action.removesuffix(":*") or "?" in action
    return bool(ESCALATING.fullmatch(action)) or (
        pattern and any(grants.takes_in(action.lower(), one.lower()) for one in ESCALATIONS)
    )


def _broader(grant: Grant, before: Iterable[Grant]) -> str | None:
    """Return what there was of it before, in words."""
    for earlier in before:
        if earlier.without_conditions().reaches(grant):
            gone = sorted(earlier.conditions - grant.conditions)
            return f"and no longer only {spoken.conditions(gone)}" if gone else None
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


def _told(
    holder: Holder, alike: list[Grant], told: str, kind: Kind, widens: bool, instead: str | None = None
) -> Change:
    """Return one change in words: who may do what."""
    one, grant = holder.resource, alike[0]
    keys = frozenset(key.lower() for _, key, _ in grant.conditions)
    where = f" {spoken.conditions(sorted(grant.conditions))}" if grant.conditions else ""
    suffix = where + (f", {instead}" if instead else "")
    # Who may give itself rights to anything is worth a look, however new.
    unbounded = kind == "escalation" and any(ANYTHING.fullmatch(each.resource) for each in alike)
    fresh = holder.fresh and kind != "deny" and widens and not unbounded
    if one.type == "aws_iam_role":
        text = f"{told.removesuffix(' also')} be taken on by {spoken.principal(grant.principal)}{suffix}"
        return Change(one.address, holder.who, kind, widens, text, fresh, keys)
    # Of a bucket's, a key's or a function's policy it is the principal who may, and of all others the holder.
    names_principal = grant.principal and one.type != "aws_vpc_endpoint"
    who = spoken.principal(grant.principal) if names_principal else holder.who
    what = sorted({each.action for each in alike}), sorted({each.resource for each in alike})
    deed = spoken.deed(*what, holder.who if one.type in ITSELF else "")
    if "forbidden" in told:
        deed = deed.replace("do everything", "do anything")
    return Change(one.address, who, kind, widens, f"{told} {deed}{suffix}", fresh, keys)
