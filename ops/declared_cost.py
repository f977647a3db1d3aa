"""What a stage's resources cost as Terraform has them: in a plan, or in the state before it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ops import cost
from ops.cost import Cost
from ops.fleet import CONFIGURATION, STACK, Fleet

TARGET = "aws_appautoscaling_target"


@dataclass(frozen=True)
class Resource:
    """One resource with its values, as far as they are known."""

    address: str
    type: str
    name: str
    module: str
    values: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Estate:
    """All resources of a stage at one time, and what is known beside them."""

    resources: tuple[Resource, ...]
    region: str
    variables: dict[str, Any] = field(
        default_factory=dict
    )  # of the root module, where values are not known yet
    fleet: Fleet | None = None  # whose count of instances goes before the declared one

    def of(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type in types]


@dataclass(frozen=True)
class Declared:
    """What an estate costs."""

    costs: tuple[Cost, ...]
    usage: tuple[str, ...]  # what costs by use, and is not counted
    unknown: tuple[str, ...]  # types of resources that nobody has looked up


def resources(module: dict[str, Any], path: str = "") -> Iterator[Resource]:
    """Yield what a module of Terraform's JSON and those below it manage."""
    for entry in module.get("resources", []):
        if entry.get("mode", "managed") == "managed":
            yield Resource(entry["address"], entry["type"], entry["name"], path, entry.get("values") or {})
    for child in module.get("child_modules", []):
        yield from resources(child, child.get("address", ""))


def of(estate: Estate) -> Declared:
    """Return what the estate costs, thing by thing."""
    found: dict[str, Cost] = {}
    for resource in estate.resources:
        for one in PRICED.get(resource.type, _nothing)(estate, resource):
            found[one.what] = _together(found[one.what], one) if one.what in found else one
    known = {*PRICED, *USAGE, *FREE}
    usage = [text for kind, text in USAGE.items() if estate.of(kind)]
    return Declared(
        tuple(found.values()),
        tuple(_with_rates(text, estate.region) for text in usage),
        tuple(sorted({resource.type for resource in estate.resources} - known)),
    )


def _nothing(_: Estate, __: Resource) -> Iterator[Cost]:
    yield from ()


def _together(one: Cost, other: Cost) -> Cost:
    """Several of a kind in a line."""
    count = re.compile(r"\d+(?= × | alarm)")
    numbers = [count.match(each.detail) for each in (one, other)]
    detail = f"{one.detail}, {other.detail}"
    if numbers[0] and numbers[1] and count.sub("", one.detail, 1) == count.sub("", other.detail, 1):
        detail = count.sub(str(int(numbers[0][0]) + int(numbers[1][0])), one.detail, 1)
    return replace(
        one,
        detail=detail,
        hourly=cost.total((one.hourly, other.hourly)),
        most=cost.total((one.most, other.most)),
        update=cost.total((one.update, other.update)),
    )


def limits(estate: Estate) -> tuple[int, int] | None:
    """Return the fewest and the most instances that scaling may leave, its schedule included; None: nothing scales."""
    numbers: list[int] = []
    for target in estate.of(TARGET):
        if target.values.get("service_namespace", "sagemaker") == "sagemaker":
            numbers += [target.values["min_capacity"], target.values["max_capacity"]]
    for action in estate.of("aws_appautoscaling_scheduled_action") if numbers else []:
        for moved in action.values.get("scalable_target_action") or []:
            given = (moved.get("min_capacity"), moved.get("max_capacity"))
            numbers += [int(limit) for limit in given if limit not in (None, "")]
    return (min(numbers), max(numbers)) if numbers else None


def _configuration(estate: Estate, resource: Resource) -> Iterator[Cost]:
    bounds = limits(estate)
    doubled = any(_is_blue_green(endpoint) for endpoint in estate.of("aws_sagemaker_endpoint"))
    for variant in resource.values.get("production_variants") or []:
        kind, count = variant.get("instance_type"), int(variant.get("initial_instance_count") or 1)
        if kind is None:  # serverless: by use
            continue
        yield _fleet(estate, kind, count, bounds, doubled=doubled)
        if size := variant.get("volume_size_in_gb"):
            yield cost.fixed(
                "endpoint's disks", f"{count} × {size} GB", "endpoint_gb_month", size * count, estate.region
            )


def _fleet(estate: Estate, kind: str, count: int, bounds: tuple[int, int] | None, *, doubled: bool) -> Cost:
    if estate.fleet is not None:
        count = estate.fleet.wanted
    least, most = bounds or (count, count)
    count = min(max(count, least), most)
    note = f"between {least} and {most} by its use" if bounds else ""
    return cost.instances(
        "endpoint", "endpoint", kind, count, estate.region,
        most=most, update=most if doubled else 0, note=note,
    )  # fmt: skip


def _is_blue_green(endpoint: Resource) -> bool:
    """Two fleets at a time, unless the update is told to roll; SageMaker's own way has two, too."""
    deployment = endpoint.values.get("deployment_config") or [{}]
    return not deployment[0].get("rolling_update_policy")


def _stack(estate: Estate, resource: Resource) -> Iterator[Cost]:
    """Of an endpoint that may have no instance: the configuration is in the template."""
    for kind, count, bounds in _variants_of(estate, resource):
        yield _fleet(estate, kind, count, bounds, doubled=True)


def _variants_of(estate: Estate, resource: Resource) -> Iterator[tuple[str, int, tuple[int, int] | None]]:
    try:
        template = json.loads(resource.values.get("template_body") or "{}")
    except ValueError:  # hidden, where Terraform calls it sensitive
        template = {}
    for entry in template.get("Resources", {}).values():
        for variant in entry.get("Properties", {}).get("ProductionVariants", []):
            managed = variant.get("ManagedInstanceScaling") or {}
            bounds = (int(managed["MinInstanceCount"]), int(managed["MaxInstanceCount"])) if managed else None
            yield variant["InstanceType"], int(variant.get("InitialInstanceCount") or 1), bounds
    if not template:  # not known before the apply, or hidden: the variables say it
        scaling, endpoint = (estate.variables.get(name) or {} for name in ("autoscaling", "endpoint"))
        least, most = scaling.get("min_instances"), scaling.get("max_instances")
        yield (
            endpoint.get("instance_type") or "ml.m5.large",
            1,
            (1 if least is None else least, 4 if most is None else most),
        )


def _instance(estate: Estate, resource: Resource) -> Iterator[Cost]:
    values, region = resource.values, estate.region
    running = values.get("instance_state") != "stopped"
    note = "stopped: its disk alone costs" if not running else "while it runs; a job stops it at its end"
    yield cost.instances(
        "training instance", "ec2", str(values.get("instance_type")), int(running), region, most=1, note=note
    )
    if _is_public(estate, values):
        address = cost.fixed("public address", "1 × IPv4 address", "public_ipv4_hour", 1, region)
        yield address if running else replace(address, hourly=0.0)
    for disk in values.get("root_block_device") or []:
        size, kind = disk.get("volume_size") or 8, disk.get("volume_type") or "gp2"
        yield cost.fixed("training disk", f"{size} GB {kind}", f"ebs_{kind}_gb_month", size, region)


def _is_public(estate: Estate, values: dict[str, Any]) -> bool:
    """Tell whether an instance has a public address, or its subnet will give it one."""
    if values.get("associate_public_ip_address") is not None:
        return bool(values["associate_public_ip_address"])
    return any(subnet.values.get("map_public_ip_on_launch") for subnet in estate.of("aws_subnet"))


def _notebook(estate: Estate, resource: Resource) -> Iterator[Cost]:
    values, region = resource.values, estate.region
    kind, size = str(values.get("instance_type")), values.get("volume_size") or 5
    yield cost.instances("notebook", "notebook", kind, 1, region, note="while it runs")
    yield cost.fixed("notebook's disk", f"{size} GB", "notebook_gb_month", size, region)


def _provisioned(estate: Estate, resource: Resource) -> Iterator[Cost]:
    count = resource.values.get("provisioned_concurrent_executions") or 0
    functions = estate.of("aws_lambda_function")
    values = functions[0].values if functions else {}
    yield provisioned(
        count, values.get("memory_size"), (values.get("architectures") or [None])[0], estate.region
    )


def provisioned(count: int, memory_mb: int | None, architecture: str | None, region: str) -> Cost:
    """Return what executions cost that are kept warm; AWS's own defaults where the function leaves them out."""
    gigabytes = (memory_mb or 128) / 1024
    return cost.fixed(
        "kept warm", f"{count} × {gigabytes:g} GB of the function",
        f"provisioned_gb_second_{architecture or 'x86_64'}", count * gigabytes, region,
    )  # fmt: skip


def _nat(estate: Estate, _: Resource) -> Iterator[Cost]:
    yield cost.fixed("NAT gateway", "1 × NAT gateway", "nat_gateway_hour", 1, estate.region)


def _address(estate: Estate, _: Resource) -> Iterator[Cost]:
    yield cost.fixed("public address", "1 × IPv4 address", "public_ipv4_hour", 1, estate.region)


def _vpc_endpoint(estate: Estate, resource: Resource) -> Iterator[Cost]:
    """Each zone that it is in costs; the gateway of S3 is free."""
    if resource.values.get("vpc_endpoint_type") != "Interface":
        return
    subnets = [one for one in estate.of("aws_subnet") if one.name == "this"]
    zones = len(resource.values.get("subnet_ids") or []) or len(subnets) or 1
    service = str(resource.values.get("service_name", "")).partition(f".{estate.region}.")[2] or "interface"
    where = f"{service} in {zones} zone{'s' * (zones != 1)}"
    yield cost.fixed("interface endpoints", where, "interface_endpoint_hour", zones, estate.region)


def _alarm(estate: Estate, resource: Resource) -> Iterator[Cost]:
    """Each metric of an alarm costs."""
    queries = resource.values.get("metric_query") or []
    metrics = [query["metric"][0] for query in queries if query.get("metric")]
    periods = [int(each.get("period") or 60) for each in (metrics or [resource.values])]
    yield alarms(len(periods), min(periods), estate.region)


def alarms(count: int, period: int, region: str) -> Cost:
    """Return what alarms cost by the number of their metrics; a period below a minute costs more."""
    kind = "alarm_month" if period >= 60 else "alarm_high_resolution_month"
    return cost.fixed("alarms", f"{count} alarm metrics", kind, count, region)


def _policy(estate: Estate, resource: Resource) -> Iterator[Cost]:
    """Target tracking makes two alarms of its own."""
    for tracking in resource.values.get("target_tracking_scaling_policy_configuration") or []:
        metric = (tracking.get("predefined_metric_specification") or [{}])[0]
        fast = str(metric.get("predefined_metric_type") or "").endswith("HighResolution")
        yield alarms(2, 10 if fast else 60, estate.region)


def _dashboard(estate: Estate, _: Resource) -> Iterator[Cost]:
    note = "an account's first three are free"
    yield cost.fixed("dashboard", "1 × dashboard", "dashboard_month", 1, estate.region, note=note)


def _key(estate: Estate, _: Resource) -> Iterator[Cost]:
    yield cost.fixed("KMS keys", "1 × key", "kms_key_month", 1, estate.region)


def _with_rates(text: str, region: str) -> str:
    return re.sub(
        r"\{(\w+)(?::(\d+))?\}", lambda found: cost.rate(found[1], region, int(found[2] or 1)), text
    )


PRICED: dict[str, Callable[[Estate, Resource], Iterator[Cost]]] = {
    CONFIGURATION: _configuration,
    STACK: _stack,
    "aws_instance": _instance,
    "aws_sagemaker_notebook_instance": _notebook,
    "aws_lambda_provisioned_concurrency_config": _provisioned,
    "aws_nat_gateway": _nat,
    "aws_eip": _address,
    "aws_vpc_endpoint": _vpc_endpoint,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_appautoscaling_policy": _policy,
    "aws_cloudwatch_dashboard": _dashboard,
    "aws_kms_key": _key,
}
USAGE = {  # what it is, and its price
    "aws_sagemaker_endpoint": "data in and out of the endpoint, its instances' own disks",
    "aws_lambda_function": (
        "the function's calls, {lambda_request:1000000} a million and {lambda_gb_second_arm64} a GB-second"
    ),
    "aws_cloudwatch_log_group": "logs, {log_gb} a GB, and {log_stored_gb_month} a GB and month to keep",
    "aws_s3_bucket": "what the buckets hold, {s3_gb_month} a GB and month, and requests",
    "aws_ecr_repository": "container images, {ecr_gb_month} a GB and month",
    "aws_nat_gateway": "traffic through the NAT gateway, {nat_gateway_gb} a GB",
    "aws_vpc_endpoint": "traffic through interface endpoints, {interface_endpoint_gb} a GB",
    "aws_sns_topic": "notifications of alarms",
    "aws_iam_role": "training, tuning and bulk jobs, by the instance and second",
}
FREE = frozenset(
    {
        "aws_appautoscaling_scheduled_action", TARGET, "aws_default_security_group", "aws_ecr_lifecycle_policy",
        "aws_flow_log", "aws_iam_instance_profile", "aws_iam_openid_connect_provider", "aws_iam_policy",
        "aws_iam_role_policy", "aws_iam_role_policy_attachment", "aws_internet_gateway", "aws_lambda_alias",
        "aws_lambda_function_event_invoke_config", "aws_lambda_function_url", "aws_lambda_permission", "aws_route",
        "aws_route_table", "aws_route_table_association", "aws_s3_bucket_lifecycle_configuration",
        "aws_s3_bucket_logging", "aws_s3_bucket_notification", "aws_s3_bucket_ownership_controls",
        "aws_s3_bucket_policy", "aws_s3_bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_bucket_versioning", "aws_s3_object",
        "aws_sagemaker_model", "aws_sagemaker_notebook_instance_lifecycle_configuration", "aws_security_group",
        "aws_sns_topic_policy", "aws_sns_topic_subscription", "aws_subnet", "aws_vpc",
        "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule", "terraform_data",
    }
)  # fmt: skip
