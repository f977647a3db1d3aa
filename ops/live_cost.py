"""What is live costs: asked of the cloud, thing by thing, of what the sweep knows to be ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops import cost, declared_cost
from ops.cost import Cost
from ops.live import is_gone
from ops.prices import Use
from ops.sweep import Found, Sweeper
from ops.sweep.sweeper import reason

GB = 1024**3
_PAGES = 5  # of a bucket's listing: beyond, its size is not asked for
_AT_ONCE = 8

Pricing = Callable[[Sweeper, str, str], Iterator[Cost]]  # of what has the identifier, in the region


@dataclass(frozen=True)
class Live:
    """What is there and what it costs, and where nobody could look: the reason by kind."""

    costs: tuple[tuple[Found, Cost], ...]
    unseen: dict[str, str]

    @property
    def hourly(self) -> float | None:
        """US dollars an hour of all together; None where a price is not known."""
        return cost.total(one.hourly for _, one in self.costs)


def look(sweeper: Sweeper, region: str) -> Live:
    """Find what costs, and price it."""
    survey = sweeper.survey(PRICED)
    costs, unseen = of(sweeper, survey.found, region)
    return Live(costs, survey.unseen | unseen)


def of(
    sweeper: Sweeper, found: list[Found], region: str
) -> tuple[tuple[tuple[Found, Cost], ...], dict[str, str]]:
    """Price what was found; return also where nobody may look, by kind."""
    costly = [entry for entry in found if entry.kind in PRICED]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda entry: _priced(sweeper, entry, region), costly))
    costs = tuple((entry, one) for entry, (priced, _) in zip(costly, answers, strict=True) for one in priced)
    unseen = {entry.kind: why for entry, (_, why) in zip(costly, answers, strict=True) if why}
    return costs, unseen


def _priced(sweeper: Sweeper, entry: Found, region: str) -> tuple[list[Cost], str]:
    try:
        return list(PRICED[entry.kind](sweeper, entry.identifier, region)), ""
    except ClientError as error:
        return [], "" if is_gone(error) else reason(error)
    except BotoCoreError as error:
        return [], reason(error)


def _endpoint(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
    client = sweeper.client("sagemaker")
    described = client.describe_endpoint(EndpointName=name)
    config = client.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    kinds = {each["VariantName"]: each.get("InstanceType") for each in config["ProductionVariants"]}
    for variant in described.get("ProductionVariants", []):
        kind = kinds.get(variant["VariantName"])
        if kind is not None:
            yield cost.instances("endpoint", "endpoint", kind, variant.get("CurrentInstanceCount", 0), region)
    # A second fleet, of an update under way.
    for variant in (described.get("PendingDeploymentSummary") or {}).get("ProductionVariants", []):
        kind, count = variant.get("InstanceType"), variant.get("CurrentInstanceCount", 0)
        if kind is not None and count:
            yield cost.instances("endpoint", "endpoint", kind, count, region, note="of the update")


def _job(kind: str, operation: str, resources: str, use: Use) -> Pricing:
    def pricing(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
        described = getattr(sweeper.client("sagemaker"), operation)(**{f"{kind}Name": name})
        config = described.get(resources) or {}
        groups = config.get("InstanceGroups") or [config]
        spot = "less: spot" if described.get("EnableManagedSpotTraining") else ""
        for group in groups:
            yield cost.instances(
                "job", use, str(group.get("InstanceType")), int(group.get("InstanceCount") or 1), region,
                note=spot,
            )  # fmt: skip

    return pricing


def _notebook(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
    described = sweeper.client("sagemaker").describe_notebook_instance(NotebookInstanceName=name)
    running = described["NotebookInstanceStatus"] not in {"Stopped", "Failed"}
    note = "" if running else "stopped: its disk alone costs"
    yield cost.instances("notebook", "notebook", described["InstanceType"], int(running), region, note=note)
    size = described.get("VolumeSizeInGB") or 5
    yield cost.fixed("notebook's disk", f"{size} GB", "notebook_gb_month", size, region)


def _instance(sweeper: Sweeper, identifier: str, region: str) -> Iterator[Cost]:
    ec2 = sweeper.client("ec2")
    (found,) = ec2.describe_instances(InstanceIds=[identifier])["Reservations"][0]["Instances"]
    running = found["State"]["Name"] in {"pending", "running"}
    note = "" if running else f"{found['State']['Name']}: its disk alone costs"
    yield cost.instances("training instance", "ec2", found["InstanceType"], int(running), region, note=note)
    for mapping in found.get("BlockDeviceMappings", []):
        yield from _volume(sweeper, mapping["Ebs"]["VolumeId"], region)


def _volume(sweeper: Sweeper, identifier: str, region: str) -> Iterator[Cost]:
    (found,) = sweeper.client("ec2").describe_volumes(VolumeIds=[identifier])["Volumes"]
    size, kind = found["Size"], found["VolumeType"]
    yield cost.fixed("disk", f"{size} GB {kind}", f"ebs_{kind}_gb_month", size, region)


def _vpc_endpoint(sweeper: Sweeper, identifier: str, region: str) -> Iterator[Cost]:
    (found,) = sweeper.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[identifier])["VpcEndpoints"]
    if found["VpcEndpointType"] == "Interface":
        zones = len(found.get("SubnetIds") or []) or 1
        service = found["ServiceName"].rpartition(".")[2]
        where = f"{service} in {zones} zone{'s' * (zones != 1)}"
        yield cost.fixed("interface endpoint", where, "interface_endpoint_hour", zones, region)


def _flat(what: str, detail: str, unit: str) -> Pricing:
    def pricing(_: Sweeper, __: str, region: str) -> Iterator[Cost]:
        yield cost.fixed(what, detail, unit, 1, region)

    return pricing


def _function(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
    client = sweeper.client("lambda")
    kept = client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    count = sum(each["RequestedProvisionedConcurrentExecutions"] for each in kept)
    if count:
        told = client.get_function_configuration(FunctionName=name)
        architecture = (told.get("Architectures") or [None])[0]
        yield declared_cost.provisioned(count, told.get("MemorySize"), architecture, region)


def _alarm(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
    for alarm in sweeper.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]:
        metrics = [each["MetricStat"] for each in alarm.get("Metrics", []) if each.get("MetricStat")]
        periods = [int(each.get("Period") or 60) for each in (metrics or [alarm])]
        yield declared_cost.alarms(len(periods), min(periods), region)


def _repository(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
    images: Iterator[dict[str, Any]] = sweeper.pages(
        "ecr", "describe_images", "imageDetails", repositoryName=name
    )
    yield _stored(
        "images", sum(image.get("imageSizeInBytes") or 0 for image in images), "ecr_gb_month", region
    )


def _bucket(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
    size, whole = bucket_size(sweeper.client("s3"), name)
    note = "current versions" if whole else "and more: it holds many objects"
    yield _stored("artifacts", size, "s3_gb_month", region, note)


def _log_group(sweeper: Sweeper, name: str, region: str) -> Iterator[Cost]:
    groups = sweeper.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
    size = sum(group.get("storedBytes") or 0 for group in groups if group["logGroupName"] == name)
    yield _stored("logs", size, "log_stored_gb_month", region)


def _stored(what: str, size: int, unit: str, region: str, note: str = "") -> Cost:
    return cost.fixed(what, in_bytes(size), unit, size / GB, region, note=note)


def in_bytes(size: int) -> str:
    """Return a size for a person: `1.5 GB`."""
    power = min(4, max(0, size.bit_length() - 1) // 10)
    return f"{size / 1024**power:.{int(power > 1)}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def bucket_size(s3: Any, bucket: str) -> tuple[int, bool]:
    """Return how many bytes a bucket holds, and whether that is all of it: a large one is not read to its end."""
    pages = iter(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))
    size = sum(entry["Size"] for page in islice(pages, _PAGES) for entry in page.get("Contents", []))
    return size, next(pages, None) is None


def _tagged(_: Sweeper, arn: str, region: str) -> Iterator[Cost]:
    """Something that the project does not make: of most, nobody here knows the price."""
    if ":kms:" in arn and ":key/" in arn:
        yield cost.fixed("KMS key", "1 × key", "kms_key_month", 1, region)
    else:
        yield Cost("something tagged", arn.split(":", 5)[-1], None, None)


PRICED: dict[str, Pricing] = {
    "training job": _job("TrainingJob", "describe_training_job", "ResourceConfig", "training"),
    "bulk job": _job("TransformJob", "describe_transform_job", "TransformResources", "transform"),
    "endpoint": _endpoint,
    "notebook instance": _notebook,
    "image repository": _repository,
    "function": _function,
    "instance": _instance,
    "volume": _volume,
    "VPC endpoint": _vpc_endpoint,
    "NAT gateway": _flat("NAT gateway", "1 × NAT gateway", "nat_gateway_hour"),
    "elastic IP": _flat("public address", "1 × IPv4 address", "public_ipv4_hour"),
    "alarm": _alarm,
    "alarm of the scaling": _alarm,
    "dashboard": _flat("dashboard", "1 × dashboard", "dashboard_month"),
    "log group": _log_group,
    "bucket": _bucket,
    "tagged": _tagged,
}
