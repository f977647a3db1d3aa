"""What a stage has in EC2: its network, and what is attached to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ops.sweep.listing import tagged

if TYPE_CHECKING:
    from ops.sweep.sweeper import Sweeper


def instances(sweeper: Sweeper) -> Iterator[str]:
    for reservation in sweeper.pages("ec2", "describe_instances", "Reservations", Filters=sweeper.tagged):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in {"terminated", "shutting-down"}:
                yield instance["InstanceId"]


def interfaces(sweeper: Sweeper) -> Iterator[str]:
    """Those with the tag, and those of services (Lambda, SageMaker, endpoints) in our groups, which have none."""
    found: dict[str, None] = dict.fromkeys(
        tagged("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId")(sweeper)
    )
    groups = list(security_groups(sweeper))
    if groups:
        inside = [{"Name": "group-id", "Values": groups}]
        for entry in sweeper.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=inside):
            found[entry["NetworkInterfaceId"]] = None
    yield from found


def volumes(sweeper: Sweeper) -> Iterator[str]:
    """Those that no machine has any more: the others go with theirs."""
    for volume in sweeper.pages("ec2", "describe_volumes", "Volumes", Filters=sweeper.tagged):
        if volume["State"] in {"available", "error"}:
            yield volume["VolumeId"]


def security_groups(sweeper: Sweeper) -> Iterator[str]:
    groups = sweeper.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=sweeper.tagged)
    return (group["GroupId"] for group in groups if group["GroupName"] != "default")


def delete_security_group(sweeper: Sweeper, group: str) -> object:
    """Groups that name each other can only go when the rules are gone."""
    ec2 = sweeper.client("ec2")
    described = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    for rules, revoke in (
        (described["IpPermissions"], ec2.revoke_security_group_ingress),
        (described["IpPermissionsEgress"], ec2.revoke_security_group_egress),
    ):
        if rules:
            revoke(GroupId=group, IpPermissions=rules)
    return ec2.delete_security_group(GroupId=group)


def internet_gateways(sweeper: Sweeper) -> Iterator[str]:
    gateways = sweeper.pages("ec2", "describe_internet_gateways", "InternetGateways", Filters=sweeper.tagged)
    return (gateway["InternetGatewayId"] for gateway in gateways)


def delete_internet_gateway(sweeper: Sweeper, gateway: str) -> object:
    ec2 = sweeper.client("ec2")
    described = ec2.describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"][0]
    for attachment in described["Attachments"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=attachment["VpcId"])
    return ec2.delete_internet_gateway(InternetGatewayId=gateway)


def vpc_endpoints(sweeper: Sweeper) -> Iterator[str]:
    endpoints = sweeper.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=sweeper.tagged)
    return (
        entry["VpcEndpointId"] for entry in endpoints if entry["State"].lower() not in {"deleted", "deleting"}
    )


def nat_gateways(sweeper: Sweeper) -> Iterator[str]:
    gateways = sweeper.pages("ec2", "describe_nat_gateways", "NatGateways", Filter=sweeper.tagged)
    return (
        gateway["NatGatewayId"] for gateway in gateways if gateway["State"] not in {"deleted", "deleting"}
    )


def route_tables(sweeper: Sweeper) -> Iterator[str]:
    for table in sweeper.pages("ec2", "describe_route_tables", "RouteTables", Filters=sweeper.tagged):
        if not any(association.get("Main") for association in table["Associations"]):
            yield table["RouteTableId"]


def delete_route_table(sweeper: Sweeper, table: str) -> object:
    ec2 = sweeper.client("ec2")
    for association in ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Associations"]:
        ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
    return ec2.delete_route_table(RouteTableId=table)
