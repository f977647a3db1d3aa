"""IAM and STS: ARNs have the path of what there is, or of what is to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from localcloud.authorization import reference
from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import generic

_PLACES = {  # type of resource: the parameter that names it
    "role": "RoleName",
    "user": "UserName",
    "group": "GroupName",
    "instance-profile": "InstanceProfileName",
}
_ARNS = {
    "policy": "PolicyArn",
    "oidc-provider": "OpenIDConnectProviderArn",
    "saml-provider": "SAMLProviderArn",
}
_TAGGED = {
    "CreateRole": "iam:TagRole",
    "CreateUser": "iam:TagUser",
    "CreatePolicy": "iam:TagPolicy",
    "CreateInstanceProfile": "iam:TagInstanceProfile",
    "CreateOpenIDConnectProvider": "iam:TagOpenIDConnectProvider",
}


def asks(call: Call) -> list[Ask]:
    known = reference.action("iam", call.operation)
    if known is None:
        raise generic.Unmapped(f"iam:{call.operation}")
    context = generic.tag_keys(call.params) | _keys(call)
    found = [Ask(f"iam:{call.operation}", one, context) for one in _resources(call, known)]
    if call.operation in _TAGGED and call.params.get("Tags"):
        found.append(Ask(_TAGGED[call.operation], found[0].resource, context))
    if call.operation == "AddRoleToInstanceProfile":
        passed = {"iam:passedtoservice": ["ec2.amazonaws.com"]}
        found.append(Ask("iam:PassRole", _arn(call, "role", str(call.params.get("RoleName"))), passed))
    return found


def _resources(call: Call, known: reference.Action) -> list[str]:
    base = f"arn:aws:iam::{call.account}"
    found = []
    if call.operation in ("SimulatePrincipalPolicy", "GetContextKeysForPrincipalPolicy"):
        return [str(call.params.get("PolicySourceArn") or "*")]
    for kind, _ in known.types:
        if kind in _PLACES:
            name = call.params.get(_PLACES[kind])
            if name and (kind != "role" or call.operation != "AddRoleToInstanceProfile"):
                found.append(_arn(call, kind, str(name)))
        elif kind in _ARNS and call.params.get(_ARNS[kind]):
            if kind == "policy" and call.operation.startswith(("Attach", "Detach")):
                continue
            found.append(str(call.params[_ARNS[kind]]))
    if not found and call.operation == "CreatePolicy":
        return [f"{base}:policy{call.params.get('Path') or '/'}{call.params.get('PolicyName')}"]
    if not found and call.operation == "CreateOpenIDConnectProvider":
        return [f"{base}:oidc-provider/{str(call.params.get('Url')).removeprefix('https://')}"]
    if not found and call.operation == "CreateServiceLinkedRole":
        return [f"{base}:role/aws-service-role/{call.params.get('AWSServiceName')}/*"]
    if not found and known.types:
        if call.operation == "GetUser" or call.operation.endswith("AccessKeys"):
            return [f"{base}:user/*"]
        return [f"{base}:{known.types[0][0]}/*"]
    return found or ["*"]


def _arn(call: Call, kind: str, name: str) -> str:
    from moto.iam.models import iam_backends

    backend: Any = iam_backends[call.account]["aws"]
    stored = {
        "role": backend.roles,
        "user": backend.users,
        "group": backend.groups,
        "instance-profile": backend.instance_profiles,
    }[kind]
    for one in list(stored.values()):
        if one.name == name:
            return str(one.arn)
    return f"arn:aws:iam::{call.account}:{kind}{call.params.get('Path') or '/'}{name}"


def _keys(call: Call) -> dict[str, list[str]]:
    keys = {}
    for parameter, key in (
        ("PermissionsBoundary", "iam:permissionsboundary"),
        ("PolicyArn", "iam:policyarn"),
        ("AWSServiceName", "iam:awsservicename"),
    ):
        if call.params.get(parameter):
            keys[key] = [str(call.params[parameter])]
    if "iam:permissionsboundary" not in keys and call.params.get("RoleName"):
        # Of a role that there is, its boundary counts, so that only bounded roles may be changed.
        from localcloud.authorization import documents

        role = documents.find_role(call.account, str(call.params["RoleName"]))
        if role is not None and role.permissions_boundary_arn:
            keys["iam:permissionsboundary"] = [role.permissions_boundary_arn]
    return keys


def sts_asks(call: Call) -> list[Ask]:
    context: dict[str, list[str]] = generic.tag_keys(call.params)
    for parameter, key in (
        ("ExternalId", "sts:externalid"),
        ("RoleSessionName", "sts:rolesessionname"),
        ("SourceIdentity", "sts:sourceidentity"),
        ("TransitiveTagKeys", "sts:transitivetagkeys"),
    ):
        value = call.params.get(parameter)
        if value:
            context[key] = value if isinstance(value, list) else [str(value)]
    if call.operation.startswith("AssumeRole"):
        resource = str(call.params.get("RoleArn") or "*")
        found = [Ask(f"sts:{call.operation}", resource, context)]
        if call.params.get("Tags"):
            found.append(replace(found[0], action="sts:TagSession"))
        if call.params.get("SourceIdentity"):
            found.append(replace(found[0], action="sts:SetSourceIdentity"))
        return found
    return generic.asks(call, more=context)
