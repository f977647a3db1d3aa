"""The way from a VPC to a service: an endpoint, with its policy, or the internet.

Gateway endpoints are reached by the route table of a subnet, interface endpoints with private DNS from the whole VPC.
An internet gateway serves machines that have a public address only, which is an EC2 instance at best; what SageMaker
and Lambda put into a subnet needs NAT.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# By what a service is called where requests are signed or rights are named: what its endpoints are called.
_ENDPOINTS = {
    "cloudwatch": ("monitoring",),
    "ecr": ("ecr.api", "ecr.dkr"),
    "sagemaker": ("sagemaker.api", "sagemaker.runtime"),
}


@dataclass(frozen=True)
class Source:
    """Where a caller runs. `service` is the one that put it there, such as "lambda.amazonaws.com"."""

    vpc_id: str
    subnet_ids: tuple[str, ...]
    service: str = ""
    region: str = "us-east-1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "subnet_ids", tuple(self.subnet_ids))


@dataclass(frozen=True)
class Route:
    vpc_id: str
    endpoint_id: str = ""
    policy: str = ""  # document of the endpoint


class Unreachable(Exception):
    """What the caller would see as a connection that times out."""


def route(source: Source, service: str, account: str, region: str | None = None) -> Route | None:
    """The VPC endpoint by which the service is reached; None for the internet. Endpoints are for their own region.

    Raises:
        Unreachable: neither is there.
    """
    from moto.ec2.models import ec2_backends

    backend, names = ec2_backends[account][source.region], _ENDPOINTS.get(service, (service,))
    table_ids = {table.id for table in _tables(backend, source)}
    # AWS's default VPC has an internet gateway, which moto's leaves out.
    internet = backend.get_vpc(source.vpc_id).is_default and source.service == "ec2.amazonaws.com"
    internet = internet or any(_leads_out(backend, table_id, source.service) for table_id in table_ids)
    region = region or source.region
    for endpoint in list(backend.vpc_end_points.values()) if region == source.region else ():
        if endpoint.vpc_id != source.vpc_id or endpoint.service_name.split(".", 3)[-1] not in names:
            continue
        named = endpoint.vpc_endpoint_type == "Interface" and endpoint.private_dns_enabled
        if named or table_ids & set(endpoint.route_table_ids or ()):
            return Route(source.vpc_id, endpoint.id, endpoint.policy_document)
    if internet:
        return None
    raise Unreachable(
        f"Connect timeout on endpoint {service}.{region}.amazonaws.com: "
        f"{', '.join(source.subnet_ids)} of {source.vpc_id} have neither a VPC endpoint of {service} in their route "
        "tables nor a way to the internet."
    )


def _tables(backend: Any, source: Source) -> Iterable[Any]:
    tables = [table for table in backend.route_tables.values() if table.vpc_id == source.vpc_id]
    for subnet in source.subnet_ids:
        own = [table for table in tables if subnet in table._associations.values()]
        yield from own or [table for table in tables if table.main_association_id is not None]


def _leads_out(backend: Any, table_id: str, service: str) -> bool:
    for way in backend.route_tables[table_id].routes:
        if way.destination_cidr_block == "0.0.0.0/0":
            public = getattr(way, "gateway", None) is not None and service == "ec2.amazonaws.com"
            return public or bool(getattr(way, "nat_gateway", None))
    return False
