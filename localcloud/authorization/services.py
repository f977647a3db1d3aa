"""What services do with the roles that they were given: take them on, and act in their name."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.authorization import decide, documents, network, principals, sessions, surroundings
from localcloud.authorization.asks import Ask, Context
from localcloud.authorization.errors import Denied
from localcloud.authorization.network import Source
from localcloud.config import REGION


def issue(
    role_arn: str,
    service: str,
    session_name: str,
    *,
    source: Source | None = None,
    source_arn: str | None = None,
    seconds: int = 3600,
) -> dict[str, str]:
    """Credentials of the role for the service, as environment variables.

    Raises:
        Denied: there is no such role, or its trust policy does not let the service take it on.
    """
    principal = assumed(role_arn, service, session_name, source_arn)
    session = sessions.create(principal, seconds, source=source)
    return {
        "AWS_ACCESS_KEY_ID": session.access_key,
        "AWS_SECRET_ACCESS_KEY": session.secret,
        "AWS_SESSION_TOKEN": session.token,
    }


def assumed(
    role_arn: str, service: str, session_name: str, source_arn: str | None = None
) -> principals.Principal:
    """The session of a role that a service has taken on. Raises Denied."""
    caller = principals.service(service)
    values = {
        "aws:sourceaccount": role_arn.split(":")[4:5],
        "aws:principalservicename": [service],
        "aws:principalisawsservice": ["true"],
    }
    if source_arn:
        values["aws:sourcearn"] = [source_arn]
    role = documents.role_of(role_arn)
    if role is None:
        raise Denied(f"User: {service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")
    decide.authorize(caller, Ask("sts:AssumeRole", role_arn), Context(values), source=source_arn or service)
    return principals.role_session(role_arn, role.id, session_name)


def check(
    role_arn: str,
    action: str,
    resource: str,
    context: Mapping[str, list[str]] | None = None,
    *,
    source: Source | None = None,
    session_name: str = "service",
    by: str = "",
) -> None:
    """Whether a service may do this in the role's name; `by` is what the report on rights calls the doer.

    Raises:
        Denied: it may not. Its message is AWS's.
        Unreachable: there is no way from `source` to the service.
    """
    account, role = role_arn.split(":")[4], documents.role_of(role_arn)
    principal = principals.role_session(role_arn, role.id if role is not None else "AROA", session_name)
    way = network.route(source, action.partition(":")[0], account) if source else None
    ask = Ask(action, resource, {key.lower(): value for key, value in (context or {}).items()})
    region = resource.split(":")[3] if resource.count(":") >= 5 else ""
    region = region or (source.region if source else REGION)
    known = surroundings.context(principal, ask, region=region, route=way)
    decide.authorize(principal, ask, known, route=way, source=by or (source.service if source else ""))
