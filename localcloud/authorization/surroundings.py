"""The context keys that every request has, and those that are only looked for when a condition asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from localcloud.authorization import documents, resource_policies, tags
from localcloud.authorization.asks import Ask, Context
from localcloud.authorization.network import Route
from localcloud.authorization.principals import Principal, Session

_KINDS = {
    "root": "Account",
    "user": "User",
    "role": "AssumedRole",
    "federated": "FederatedUser",
    "anonymous": "Anonymous",
}
_OF_RESOURCES = ("aws", "ec2", "ecr", "iam", "sagemaker", "ssm", "s3", "lambda", "logs")


def context(
    principal: Principal,
    ask: Ask,
    *,
    region: str,
    secure: bool = True,
    session: Session | None = None,
    route: Route | None = None,
    address: str = "127.0.0.1",
    agent: str = "",
) -> Context:
    now = time.time()
    values = {
        "aws:securetransport": ["true" if secure else "false"],
        "aws:requestedregion": [region],
        "aws:principaltype": [_KINDS.get(principal.kind, "")],
        "aws:userid": [principal.user_id],
        "aws:useragent": [agent],
        "aws:viaawsservice": ["false"],
        "aws:principalisawsservice": ["false"],
        "aws:epochtime": [str(int(now))],
    }
    if principal.kind != "anonymous":
        values["aws:principalarn"] = [principal.identity or principal.arn]
        values["aws:principalaccount"] = [principal.account]
    if principal.kind == "user":
        values["aws:username"] = [principal.name]
    if secure:
        values["s3:tlsversion"] = ["1.3"]
    if route is not None:
        values["aws:sourcevpc"], values["aws:sourcevpce"] = [route.vpc_id], [route.endpoint_id]
    else:
        values["aws:sourceip"] = [address]
    if session is not None:
        issued = time.gmtime(session.issued)
        values["aws:tokenissuetime"] = [time.strftime("%Y-%m-%dT%H:%M:%SZ", issued)]
        values["aws:multifactorauthpresent"] = ["false"]
    if session is not None and session.identity_provider:
        values["aws:federatedprovider"] = [session.identity_provider]
    values.update(ask.context)
    return Context(values, _lazy(principal, ask, session, now))


def _lazy(
    principal: Principal, ask: Ask, session: Session | None, now: float
) -> Mapping[str, Callable[[str], list[str] | None]]:
    def of_principal(name: str) -> list[str] | None:
        known = documents.policies_of(principal).tags if principal.kind in ("user", "role") else {}
        return _lookup({**known, **(session.tags if session else {})}, name)

    def of_resource(name: str) -> list[str] | None:
        return _lookup(tags.of(ask.resource), name)

    def of_object(name: str) -> list[str] | None:
        return _lookup(tags.of_object(ask.resource), name)

    def owner(_: str) -> list[str] | None:
        account = ask.owner or resource_policies.owner(ask.resource) or principal.account
        return [account] if account else None

    def date(_: str) -> list[str]:
        return [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))]

    return {
        "aws:principaltag/": of_principal,
        "s3:existingobjecttag/": of_object,
        "aws:resourceaccount": owner,
        "s3:resourceaccount": owner,
        "aws:currenttime": date,
        **{f"{service}:resourcetag/": of_resource for service in _OF_RESOURCES},
    }


def _lookup(known: Mapping[str, str], name: str) -> list[str] | None:
    """Keys of tags in conditions are compared without case."""
    return next(([value] for key, value in known.items() if key.lower() == name), None)
