"""EC2: one request is about many resources, with a condition for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import generic

_TYPES = {  # by the prefix of their ids
    "acl": "network-acl", "ami": "image", "dopt": "dhcp-options", "eipalloc": "elastic-ip", "eni": "network-interface",
    "fl": "vpc-flow-log", "i": "instance", "igw": "internet-gateway", "key": "key-pair", "lt": "launch-template",
    "nat": "natgateway", "pl": "prefix-list", "rtb": "route-table", "sg": "security-group",
    "sgr": "security-group-rule", "snap": "snapshot", "subnet": "subnet", "vol": "volume", "vpc": "vpc",
    "vpce": "vpc-endpoint",
}  # fmt: skip


def asks(call: Call) -> list[Ask]:
    if call.operation in ("CreateTags", "DeleteTags"):
        return _of_tags(call)
    if call.operation == "RunInstances":
        # One may hold a profile, and so a role, that nobody has passed.
        if call.params.get("LaunchTemplate"):
            raise generic.Unmapped("ec2:RunInstances from a launch template")
        found = _run_instances(call)
    else:
        found = [one for one in generic.asks(_renamed(call)) if one.action.startswith("ec2:")]
    found = [replace(one, context={**one.context, **_keys(call, one.resource)}) for one in found]
    return found + _tags_at_creation(call) + _passed(call)


def _renamed(call: Call) -> Call:
    """Names of parameters that stand for resources, as the ARNs have them."""
    names = {
        "groupid": "SecurityGroupId", "group": "SecurityGroupId", "keyname": "KeyPairName", "flowlogid": "VpcFlowLogId"
    }  # fmt: skip
    more = {new: call.flat[old] for old, new in names.items() if old in call.flat}
    return replace(call, params={**more, **_associated(call), **call.params})


def _associated(call: Call) -> dict[str, list[str]]:
    """What an association, which is no resource itself, is of."""
    from moto.ec2.models import ec2_backends

    backend: Any = ec2_backends[call.account][call.region]
    identifier = (call.flat.get("associationid") or [""])[0]
    for table in list(backend.route_tables.values()):
        if identifier in table._associations:
            return {"RouteTableId": [table.id], "SubnetId": [table._associations[identifier]]}
    for address in list(backend.addresses):
        if identifier and address.association_id == identifier:
            return {"AllocationId": [address.allocation_id]}
    return {}


def _base(call: Call) -> str:
    return f"arn:aws:ec2:{call.region}:{call.account}"


def arn_of(call: Call, identifier: str) -> str:
    kind = _TYPES.get(identifier.rpartition("-")[0].partition("-")[0], "*")
    owner = "" if kind in ("image", "snapshot") else call.account
    return f"arn:aws:ec2:{call.region}:{owner}:{kind}/{identifier}"


def _run_instances(call: Call) -> list[Ask]:
    base, flat = _base(call), call.flat
    resources = [f"{base}:instance/*", f"{base}:network-interface/*", f"{base}:volume/*"]
    resources += [f"arn:aws:ec2:{call.region}::image/{one}" for one in flat.get("imageid", [])[:1]]
    subnets = flat.get("subnetid") or _default_subnet(call)
    resources += [f"{base}:subnet/{one}" for one in dict.fromkeys(subnets)]
    groups = flat.get("securitygroupid") or flat.get("group") or ["*"]
    resources += [f"{base}:security-group/{one}" for one in dict.fromkeys(groups)]
    resources += [f"{base}:key-pair/{one}" for one in flat.get("keyname", [])[:1]]
    tags = generic.tag_keys(call.params)
    return [Ask("ec2:RunInstances", one, tags) for one in resources]


def _default_subnet(call: Call) -> list[str]:
    from moto.ec2.models import ec2_backends

    zones: Any = ec2_backends[call.account][call.region].subnets
    return [
        one.id
        for zone in zones.values()
        for one in zone.values()
        if str(one.default_for_az).lower() == "true"
    ][:1] or ["*"]


def _keys(call: Call, resource: str) -> dict[str, list[str]]:
    from moto.ec2.models import ec2_backends

    keys = {"ec2:region": [call.region]}
    for name, key in (("instancetype", "ec2:instancetype"), ("httptokens", "ec2:metadatahttptokens")):
        if name in call.flat:
            keys[key] = call.flat[name][:1]
    subnet = (call.flat.get("subnetid") or [""])[0]
    backend: Any = ec2_backends[call.account][call.region]
    kind, _, identifier = resource.rpartition(":")[2].partition("/")
    if kind == "network-interface" and identifier in backend.enis:
        subnet = backend.enis[identifier].subnet.id
    if kind == "instance" and (instance := _instance(backend, identifier)) is not None:
        subnet = instance.subnet_id or ""
        keys["ec2:instancetype"] = [instance.instance_type]
    if subnet and kind in ("network-interface", "instance", "subnet"):
        keys["ec2:subnet"] = [f"{_base(call)}:subnet/{subnet}"]
        found = next((zone[subnet] for zone in backend.subnets.values() if subnet in zone), None)
        if found is not None:
            keys["ec2:vpc"] = [f"{_base(call)}:vpc/{found.vpc_id}"]
    if kind == "subnet" and call.operation != "RunInstances" and not subnet:
        keys["ec2:vpc"] = [f"{_base(call)}:vpc/{one}" for one in call.flat.get("vpcid", [])[:1]]
    return {key: values for key, values in keys.items() if values}


def _instance(backend: Any, identifier: str) -> Any:
    for reservation in list(backend.reservations.values()):
        for instance in reservation.instances:
            if instance.id == identifier:
                return instance
    return None


def _of_tags(call: Call) -> list[Ask]:
    tags = generic.tag_keys(call.params)
    return [
        Ask(f"ec2:{call.operation}", arn_of(call, one), {**tags, **_keys(call, arn_of(call, one))})
        for one in call.params.get("Resources") or ["*"]
    ]


def _tags_at_creation(call: Call) -> list[Ask]:
    """Tags given with a creation take ec2:CreateTags on what is made."""
    found = []
    for one in call.params.get("TagSpecifications") or []:
        if isinstance(one, Mapping) and one.get("ResourceType") and one.get("Tags"):
            context = {**generic.tag_keys({"Tags": one["Tags"]}), "ec2:createaction": [call.operation]}
            found.append(Ask("ec2:CreateTags", f"{_base(call)}:{one['ResourceType']}/*", context))
    return found


def _passed(call: Call) -> list[Ask]:
    """A role goes to an instance in its profile."""
    found = generic.passed_roles(call)
    profile = call.params.get("IamInstanceProfile")
    if isinstance(profile, Mapping):
        from moto.iam.models import iam_backends

        name = profile.get("Name") or str(profile.get("Arn", "")).rpartition("/")[2]
        profiles: Any = iam_backends[call.account]["aws"].instance_profiles
        for one in list(profiles.values()):
            if one.name == name:
                context = {"iam:passedtoservice": ["ec2.amazonaws.com"]}
                found += [Ask("iam:PassRole", role.arn, context) for role in one.roles]
    return found
