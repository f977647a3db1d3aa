"""What the account may have, by AWS's names, and whether it is enough for what the stage declares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops import state_bucket
from ops.declared import value_of
from ops.doctor.finding import Finding
from ops.jobs.options import JobOptions
from ops.jobs.transform import TransformOptions
from ops.simulate.declared import of_variables
from ops.stage import Stage

PARALLEL = 2  # trials of a tuning job at a time, where nobody says
ENDPOINTS = 50  # of the account that are looked at for what they use
OLD_ZONES = {"use1-az3", "usw1-az2", "cac1-az3"}  # that modules/network leaves out
ASK = 'Ask for more: Service Quotas, {service}, "{name}"; it may take days.'

ALL_ENDPOINTS = "Number of instances across active endpoints"
ADDRESSES, VPCS, GATEWAYS = "EC2-VPC Elastic IPs", "VPCs per Region", "NAT gateways per Availability Zone"


def read(stage: Stage, service: str) -> dict[str, float] | None:
    """Return the account's quotas of a service by AWS's names; None where they may not be read."""
    try:
        pages = (
            stage.client("service-quotas")
            .get_paginator("list_service_quotas")
            .paginate(ServiceCode=service, PaginationConfig={"PageSize": 100})
        )
        return {quota["QuotaName"]: float(quota["Value"]) for page in pages for quota in page["Quotas"]}
    except (BotoCoreError, ClientError):
        return None


def in_use(stage: Stage, *, without: Collection[str] = ()) -> Counter[str] | None:
    """Return how many instances of each type serve the account's endpoints; None where it may not be read."""
    client, found = stage.client("sagemaker"), Counter[str]()
    try:
        for summary in client.list_endpoints(MaxResults=ENDPOINTS)["Endpoints"]:
            if summary["EndpointName"] in without:
                continue
            described = client.describe_endpoint(EndpointName=summary["EndpointName"])
            config = client.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
            kinds = {each["VariantName"]: each.get("InstanceType") for each in config["ProductionVariants"]}
            for variant in described.get("ProductionVariants", []):
                if kind := kinds.get(variant["VariantName"]):
                    found[kind] += variant.get("DesiredInstanceCount", 0)
    except (BotoCoreError, ClientError):
        return None
    return found


def sagemaker(stage: Stage) -> Iterator[Finding]:
    """Compare SageMaker's quotas with endpoint, training, tuning and bulk jobs as the stage would have them."""
    found = read(stage, "sagemaker")
    if found is None:
        yield _unread("sagemaker")
        return
    kind, count, most = _endpoint(stage)
    prefix = state_bucket.prefix(stage)
    others = in_use(stage, without={prefix, f"{prefix}-zero"}) or Counter()
    yield _endpoints(f"{kind} for endpoint usage", found, count, most, others[kind])
    if ALL_ENDPOINTS in found:
        yield _endpoints(ALL_ENDPOINTS, found, count, most, others.total())
    job = JobOptions()
    needs = [
        ("training quota", f"{job.instance_type} for training job usage", job.instances, "a training job"),
        (
            "tuning quota", f"{job.instance_type} for training job usage", PARALLEL * job.instances,
            f"{PARALLEL} trials at a time",
        ),
    ]  # fmt: skip
    if (value_of("endpoint", stage.variables_file) or {}).get("bulk") is not False:
        needs.append(
            ("bulk quota", f"{TransformOptions().instance_type} for transform job usage", 1, "a bulk job")
        )
    for name, quota, wanted, what in needs:
        limit = found.get(quota)
        if limit is None:
            yield Finding(name, "ok", f"{quota}: no such quota is listed")
        elif limit < wanted:
            remedy = f"{ASK.format(service='Amazon SageMaker', name=quota)} Or name another --instance-type."
            yield Finding(name, "warning", f"{quota}: {limit:g}, {what} needs {wanted}", remedy)
        else:
            yield Finding(name, "ok", f"{quota}: {limit:g}")


def network(stage: Stage) -> Iterator[Finding]:
    """Compare EC2's and VPC's quotas with the network that is still to be made."""
    declared = value_of("network", stage.variables_file) or {}
    if declared.get("mode", "create") != "create":
        return
    ec2 = stage.client("ec2")
    ours = [{"Name": "tag:kennel:stage", "Values": [state_bucket.prefix(stage)]}]
    if ec2.describe_vpcs(Filters=ours)["Vpcs"]:
        yield Finding("network quotas", "ok", "the stage's VPC is there")
        return
    needs = [("vpc", VPCS, len(ec2.describe_vpcs()["Vpcs"]))]
    if declared.get("internet") == "nat":
        needs.append(("ec2", ADDRESSES, len(ec2.describe_addresses()["Addresses"])))
        needs.append(("vpc", GATEWAYS, _gateways(ec2)))
    read_already = {service: read(stage, service) for service in {service for service, _, _ in needs}}
    for service, name, used in needs:
        quotas = read_already[service]
        limit = None if quotas is None else quotas.get(name)
        if limit is None:
            yield _unread(service)
        elif used + 1 > limit:
            remedy = ASK.format(service="Amazon VPC" if service == "vpc" else "Amazon EC2", name=name)
            yield Finding("network quotas", "error", f"{name}: {limit:g}, and {used} are in use", remedy)
        else:
            yield Finding("network quotas", "ok", f"{name}: {limit:g}, {used} in use")


def _gateways(ec2: Any) -> int:
    """NAT gateways in the zone that ours is put into: the first that modules/network may use."""
    general = [{"Name": "opt-in-status", "Values": ["opt-in-not-required"]}]
    zones = ec2.describe_availability_zones(Filters=general)["AvailabilityZones"]
    zone = min(each["ZoneName"] for each in zones if each["ZoneId"] not in OLD_ZONES)
    subnets = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"]
    inside = {each["SubnetId"] for each in subnets}
    alive = [{"Name": "state", "Values": ["available", "pending"]}]
    return sum(each["SubnetId"] in inside for each in ec2.describe_nat_gateways(Filters=alive)["NatGateways"])


def _endpoint(stage: Stage) -> tuple[str, int, int]:
    """The type of the endpoint's instances, how many it begins with, and how many it may have."""
    try:
        scaling = of_variables(stage.variables_file, "")
    except KennelError:  # it does not scale
        declared: dict[str, Any] = value_of("endpoint", stage.variables_file) or {}
        count = int(declared.get("instance_count") or 1)
        return declared.get("instance_type") or "ml.m5.large", count, count
    most = max([scaling.limits.maximum, *(each.maximum or 0 for each in scaling.scheduled)])
    return scaling.instance_type or "ml.m5.large", max(scaling.initial, scaling.limits.minimum, 1), most


def _endpoints(name: str, found: dict[str, float], count: int, most: int, others: int) -> Finding:
    limit = found.get(name)
    if limit is None:
        return Finding("endpoint quota", "ok", f"{name}: no such quota is listed")
    beside = f", others use {others}" if others else ""
    text = f"{name}: {limit:g}{beside}"
    remedy = ASK.format(service="Amazon SageMaker", name=name)
    if others + count > limit:
        return Finding("endpoint quota", "error", f"{text}; the endpoint begins with {count}", remedy)
    if others + most > limit:
        return Finding("endpoint quota", "error", f"{text}; scaling may want {most}", remedy)
    if others + 2 * most > limit:
        told = f"{text}; an update at {most} instances needs {2 * most}"
        return Finding("endpoint quota", "warning", told, remedy)
    return Finding("endpoint quota", "ok", f"{text}; an update at full size needs {2 * most}")


def _unread(service: str) -> Finding:
    remedy = "Your rights need servicequotas:ListServiceQuotas; without it, AWS tells when it refuses."
    return Finding(f"{service} quotas", "warning", "they could not be read", remedy)
