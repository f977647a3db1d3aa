"""Network interfaces that SageMaker and Lambda make in a customer's subnets, in the name of the role."""

from __future__ import annotations

import logging

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends

from localcloud.actors import Actor
from localcloud.authorization import Denied

log = logging.getLogger(__name__)

# Beside making and deleting them. Lambda gives an interface more addresses; SageMaker's is handed to its own account.
_LAMBDA = "lambda.amazonaws.com"
_LOOKS = {
    _LAMBDA: ("DescribeSubnets", "DescribeNetworkInterfaces"),
    "sagemaker.amazonaws.com": (
        "DescribeSubnets",
        "DescribeSecurityGroups",
        "DescribeVpcs",
        "DescribeDhcpOptions",
        "DescribeNetworkInterfaces",
    ),
}
_AFTER = {_LAMBDA: "AssignPrivateIpAddresses", "sagemaker.amazonaws.com": "CreateNetworkInterfacePermission"}
_BEFORE = {
    _LAMBDA: "UnassignPrivateIpAddresses",
    "sagemaker.amazonaws.com": "DeleteNetworkInterfacePermission",
}


def attach(actor: Actor, description: str) -> list[str]:
    """Make an interface in each of the actor's subnets; none where it is in no VPC.

    Raises:
        Denied: the role may not.
    """
    made: list[str] = []
    if not actor.subnets:
        return made
    for action in _LOOKS[actor.service]:
        actor.check(f"ec2:{action}")
    backend = ec2_backends[actor.account_id][actor.region]
    try:
        for subnet in actor.subnets:
            where = _where(actor, subnet)
            for group in actor.groups:
                actor.check("ec2:CreateNetworkInterface", f"{_ec2(actor)}:security-group/{group}", **where)
            actor.check("ec2:CreateNetworkInterface", f"{_ec2(actor)}:subnet/{subnet}", **where)
            actor.check("ec2:CreateNetworkInterface", f"{_ec2(actor)}:network-interface/*", **where)
            interface = backend.create_network_interface(
                backend.get_subnet(subnet), "", group_ids=list(actor.groups), description=description
            )
            made.append(interface.id)
            actor.check(f"ec2:{_AFTER[actor.service]}", _interface(actor, interface.id), **where)
    except Denied:
        detach(actor, made)
        raise
    return made


def detach(actor: Actor, interfaces: list[str]) -> None:
    """Delete them. One that the role may not delete stays, as on AWS."""
    backend = ec2_backends[actor.account_id][actor.region]
    for one in interfaces:
        interface = backend.enis.get(one)
        if interface is None:
            continue
        try:
            where = _where(actor, interface.subnet.id)
            actor.check(f"ec2:{_BEFORE[actor.service]}", _interface(actor, one), **where)
            actor.check("ec2:DeleteNetworkInterface", _interface(actor, one), **where)
            backend.delete_network_interface(one)
        except (Denied, EC2ClientError) as error:
            log.warning("network interface %s stays: %s", one, error)


def _ec2(actor: Actor) -> str:
    return f"arn:aws:ec2:{actor.region}:{actor.account_id}"


def _interface(actor: Actor, one: str) -> str:
    return f"{_ec2(actor)}:network-interface/{one}"


def _where(actor: Actor, subnet: str) -> dict[str, str]:
    vpc = ec2_backends[actor.account_id][actor.region].get_subnet(subnet).vpc_id
    return {"ec2__Subnet": f"{_ec2(actor)}:subnet/{subnet}", "ec2__Vpc": f"{_ec2(actor)}:vpc/{vpc}"}
