"""What opens the network, or pulls it out from under what runs in it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from typing import Any

from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.spoken import listed

WIDE = 8  # bits: a shorter prefix is no network of anybody's, and two of /1 are all that there is
RESIDENTS = {
    "aws_instance": "the training instance",
    "aws_sagemaker_notebook_instance": "the notebook",
    "aws_lambda_function": "the function",
    "aws_sagemaker_model": "the endpoint",
}


@rule(
    "network-opened",
    "danger",
    when="something in the network may be reached from any address (0.0.0.0/0, ::/0, or as good as that: below /8).",
    why="Scanners find an open port within minutes; nothing here is made to face them.",
    remedy=(
        "Name the addresses that need it; people get in through Session Manager, which needs no open port."
    ),
)
def opened(scene: Scene) -> Iterator[Hit]:
    for one in scene.of("aws_vpc_security_group_ingress_rule"):
        before, after = (
            {*filter(_wide, (get("cidr_ipv4"), get("cidr_ipv6")))} for get in (one.was, one.will)
        )
        if after - before:
            yield one.address, _open(one.will("ip_protocol"), one.will("from_port"), one.will("to_port"))
    for one in scene.of("aws_security_group_rule"):
        if one.will("type") == "ingress" and _anywhere(one.after) and not _anywhere(one.before):
            yield one.address, _open(one.will("protocol"), one.will("from_port"), one.will("to_port"))
    for one in scene.of("aws_security_group", "aws_default_security_group"):
        known = {_identity(block) for block in one.was("ingress") or [] if _anywhere(block)}
        for block in one.will("ingress") or []:
            if _anywhere(block) and _identity(block) not in known:
                yield one.address, _open(block.get("protocol"), block.get("from_port"), block.get("to_port"))


@rule(
    "network-replaced",
    "danger",
    when="a VPC, a subnet or a security group goes while something runs in it.",
    why=(
        "AWS does not delete it while it is in use: the apply waits for many minutes and fails halfway, "
        "or what is in it is moved and restarted."
    ),
    remedy=(
        "Keep network.cidr, availability_zones and the mode; for another network, make another stage "
        "beside this one."
    ),
)
def replaced(scene: Scene) -> Iterator[Hit]:
    gone, under = [], set[str]()
    subnets = scene.of("aws_subnet")
    for one in scene.of("aws_vpc", "aws_subnet", "aws_security_group"):
        if not one.goes or not one.was("id"):
            continue
        inside = {
            RESIDENTS[other.type]
            for other in scene.of(*RESIDENTS)
            if _names(other.before, str(one.was("id")))
        }
        if inside or (
            one.type == "aws_vpc" and any(one.was("id") == subnet.was("vpc_id") for subnet in subnets)
        ):
            gone.append(one)
            under |= inside
    if gone:
        kinds = {"aws_vpc": "the VPC", "aws_subnet": "the subnet", "aws_security_group": "the security group"}
        names = listed([f"{kinds[one.type]} {one.was('id')}" for one in gone])
        how = "replaced" if any(one.action == "replace" for one in gone) else "destroyed"
        verb = "is" if len(gone) == 1 else "are"
        text = f"{names} {verb} {how} under {listed(sorted(under)) or 'what is in it'}."
        yield gone[0].address, text[0].upper() + text[1:]


@rule(
    "public-addresses",
    "danger",
    when="instances get public addresses, or a subnet begins to give them out.",
    why="What has one is a target from the internet; AWS charges for each, too.",
    remedy='network.internet = "nat" gives a way out without a way in.',
)
def public_addresses(scene: Scene) -> Iterator[Hit]:
    for one in scene.of("aws_instance"):
        if one.will("associate_public_ip_address") and not one.was("associate_public_ip_address"):
            yield one.address, f"The instance {one.called('id')} gets a public address."
    giving = [
        one for one in scene.of("aws_subnet") if one.becomes("map_public_ip_on_launch") == (False, True)
    ]
    if giving:
        yield (
            giving[0].address,
            f"Whatever starts in {listed([one.called('id') for one in giving])} gets a public address.",
        )


@rule(
    "way-out-opened",
    "warning",
    when="a network that had no way to the internet gets one.",
    why="Code that runs there, its dependencies included, can then send data anywhere.",
    remedy="Prefer interface endpoints (network.interface_endpoints) for what AWS services are needed.",
)
def way_out(scene: Scene) -> Iterator[Hit]:
    had_network = any(one.before for one in scene.of("aws_vpc"))
    for one in scene.of("aws_internet_gateway"):
        if one.action == "create" and had_network:
            yield one.address, "The network gets a way out to the internet."


@rule(
    "flow-logs-removed",
    "warning",
    when="the network's flow logs go.",
    why="Who talked to whom cannot be told any more, after a break-in above all.",
    remedy="Keep network.flow_logs = true; flow_log_retention_days limits what they cost.",
)
def flow_logs(scene: Scene) -> Iterator[Hit]:
    for one in scene.of("aws_flow_log"):
        if one.action == "destroy":
            yield one.address, "Connections are no longer recorded."


def _anywhere(block: dict[str, Any]) -> bool:
    return any(_wide(cidr) for key in ("cidr_blocks", "ipv6_cidr_blocks") for cidr in block.get(key) or [])


def _wide(cidr: Any) -> bool:
    try:
        return ipaddress.ip_network(cidr, strict=False).prefixlen < WIDE
    except ValueError:  # it is known after the apply
        return False


def _identity(block: dict[str, Any]) -> str:
    return json.dumps([block.get(key) for key in ("protocol", "from_port", "to_port")])


def _open(protocol: Any, low: Any, high: Any) -> str:
    if str(protocol) in {"-1", "all"}:
        return "Every port is open to every address."
    ports = f"Port {low} is" if low == high else f"Ports {low} to {high} are"
    return f"{ports} open to every address ({protocol})."


def _names(state: dict[str, Any], identity: str) -> bool:
    return identity in json.dumps(state)
