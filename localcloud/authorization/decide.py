"""Whether a principal may do what it asks.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from localcloud import policies
from localcloud.authorization import documents, record, resource_policies
from localcloud.authorization.asks import Ask, Context
from localcloud.authorization.documents import Policies, Statement
from localcloud.authorization.errors import Denied, forbidden, refusal, unallowed
from localcloud.authorization.network import Route
from localcloud.authorization.principals import Principal, Session

_NOTHING = Policies((), None, {})
_TRUST = ("sts:assumerole", "sts:tagsession", "sts:setsourceidentity")
# What every caller may do, whatever a policy says.
_FREE = ("sts:getcalleridentity", "sts:getaccesskeyinfo", "sts:getsessiontoken")


@dataclass
class Decision:
    allowed: bool
    reason: str = ""  # in AWS's words, where it is refused
    statements: tuple[str, ...] = field(default_factory=tuple)  # those that allow or forbid it


def authorize(
    principal: Principal,
    ask: Ask,
    context: Context,
    *,
    session: Session | None = None,
    route: Route | None = None,
    source: str = "",
) -> None:
    """Raises Denied."""
    decision = decide(principal, ask, context, session=session, route=route)
    if not principal.is_root:
        reason = decision.reason.strip()
        record.add(
            principal,
            ask.action,
            ask.resource,
            decision.allowed,
            decision.statements,
            context.asked,
            source,
            reason,
        )
    if not decision.allowed:
        raise refused(principal, ask, decision)


def refused(principal: Principal, ask: Ask, decision: Decision) -> Denied:
    resource = f'"{ask.resource}"' if ask.action.startswith("s3:") else ask.resource
    return refusal(principal.arn, ask.action, resource, decision.reason)


def decide(
    principal: Principal,
    ask: Ask,
    context: Context,
    *,
    session: Session | None = None,
    route: Route | None = None,
) -> Decision:
    if ask.action.lower() in _FREE:
        return Decision(True)
    account = ask.owner or resource_policies.owner(ask.resource) or principal.account
    own = account == principal.account
    of_resource = resource_policies.statements_of(ask.resource, ask.action)
    known = documents.policies_of(principal) if principal.kind in ("role", "user") else _NOTHING
    sessions = [documents.statements("session", one) for one in session.policies] if session else []
    of_endpoint = (
        documents.statements(f"policy of {route.endpoint_id}", route.policy)
        if route and route.policy
        else None
    )

    for kind, bundle in (
        ("identity-based policy", known.identity),
        ("permissions boundary", known.boundary or ()),
        *(("session policy", one) for one in sessions),
        ("resource-based policy", of_resource or ()),
        ("VPC endpoint policy", of_endpoint or ()),
    ):
        found = _applying("Deny", bundle, principal, ask, context)
        if found:
            return Decision(False, forbidden(kind), found)

    if of_endpoint is not None:
        by_endpoint = _applying("Allow", of_endpoint, principal, ask, context)
        if not by_endpoint:
            return Decision(False, unallowed("VPC endpoint policy", ask.action))
    else:
        by_endpoint = ()
    grant, by_resource = _granted(of_resource or (), principal, ask, context)
    by_identity = _applying("Allow", known.identity, principal, ask, context)
    service = ask.resource.split(":", 3)[2] if ask.resource.startswith("arn:") else ""
    trust = ask.action.lower().startswith(_TRUST)
    if principal.kind in ("anonymous", "service", "federated"):
        if grant:
            return Decision(True, "", by_resource + by_endpoint)
        return Decision(False, unallowed("resource-based policy", ask.action))
    if not own or service in resource_policies.SELF_CONTAINED or trust:
        # An account that is let in decides itself which of its own may come.
        if not grant and not (own and principal.is_root and of_resource is None):
            return Decision(False, "" if trust else unallowed("resource-based policy", ask.action))
        identity_needed = not own or grant == policies.ACCOUNT
    else:
        identity_needed = grant in (policies.NOBODY, policies.ACCOUNT)
    if principal.is_root:
        return Decision(True, "", by_resource + by_endpoint)
    if identity_needed and not by_identity:
        return Decision(False, "" if trust else unallowed("identity-based policy", ask.action))
    used = (by_identity if identity_needed else ()) + by_resource + by_endpoint
    direct = not identity_needed and _names_itself(of_resource or (), principal, ask, context)
    limits = [("session policy", one) for one in sessions]
    if known.boundary is not None:
        limits.insert(0, ("permissions boundary", known.boundary))
    for kind, bundle in limits:
        found = _applying("Allow", bundle, principal, ask, context)
        if not found and not direct:
            return Decision(False, unallowed(kind, ask.action))
        used += found
    return Decision(True, "", used)


def _applying(
    effect: str, bundle: Iterable[Statement], principal: Principal, ask: Ask, context: Context
) -> tuple[str, ...]:
    found = []
    for label, statement in bundle:
        if statement["Effect"] != effect or not policies.concerns(
            statement, ask.action, ask.resource, context
        ):
            continue
        addressed = "Principal" in statement or "NotPrincipal" in statement
        if addressed and not policies.named(statement, principal.who):
            continue
        if policies.holds(statement, context):
            found.append(label)
    return tuple(found)


def _granted(
    bundle: Iterable[Statement], principal: Principal, ask: Ask, context: Context
) -> tuple[int, tuple[str, ...]]:
    """How closely the resource's policy names the caller whom it lets in, and where it does."""
    best, found = policies.NOBODY, []
    for label, statement in bundle:
        if statement["Effect"] != "Allow":
            continue
        grade = policies.named(statement, principal.who)
        if (
            grade
            and policies.concerns(statement, ask.action, ask.resource, context)
            and policies.holds(statement, context)
        ):
            best = max(best, grade)
            found.append(label)
    return best, tuple(found)


def _names_itself(bundle: Iterable[Statement], principal: Principal, ask: Ask, context: Context) -> bool:
    """Whether a user or a session (not its role) is named: then no boundary limits what it is granted."""
    own = policies.Who((principal.arn,))
    return any(
        statement["Effect"] == "Allow"
        and policies.named(statement, own) == policies.CALLER
        and policies.concerns(statement, ask.action, ask.resource, context)
        and policies.holds(statement, context)
        for _, statement in bundle
    )
