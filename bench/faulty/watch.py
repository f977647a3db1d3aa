"""What a run must not lose or leave: files, uploads, resources."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.faulty.project import PHOTOS, Project

_AWS_OWN = (
    "/aws/sagemaker/TrainingJobs",
    "/aws/sagemaker/TransformJobs",
    "/aws/ssm/",
)  # shared by the account


class Files:
    """Archives, runs and tuned settings, by their content."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[Path, tuple[int, int, str]] = {}  # size, time and digest
        self.look()

    def look(self) -> None:
        self._seen = {path: self._digest(path) for path in self._paths()}

    def lost(self) -> list[str]:
        """What was there at the last look and is not, or not as it was."""
        found = []
        for path, (_, _, digest) in self._seen.items():
            name = path.relative_to(self._root)
            if not path.is_file():
                found.append(f"lost: {name}")
            elif self._digest(path)[2] != digest:
                found.append(f"changed: {name}")
        return found

    def _paths(self) -> Iterator[Path]:
        yield from (self._root / ".kennel" / "artifacts").glob("*/model.tar.gz")
        for report in (self._root / "runs").glob("*/report.html"):  # the last thing that a run leaves
            yield from (path for path in report.parent.rglob("*") if path.is_file())
        yield from (self._root / ".kennel" / "tune").glob("*/best.json")

    def _digest(self, path: Path) -> tuple[int, int, str]:
        stat = path.stat()
        size, changed, digest = self._seen.get(path, (0, 0, ""))
        if (size, changed) == (stat.st_size, stat.st_mtime_ns):
            return size, changed, digest
        return stat.st_size, stat.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()


def archives_that_are_not_whole(root: Path) -> list[str]:
    """Of the store on this machine, which is named by content."""
    stored = (root / ".kennel" / "artifacts").glob("*/model.tar.gz")
    return [
        f"not what its name says: {path}"
        for path in stored
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.parent.name
    ]


def uploads_that_are_not_whole(project: Project) -> list[str]:
    """Of the artifact bucket, whose keys are made of digests."""
    bucket = project.artifacts
    if not bucket:
        return []
    s3, found = project.client("s3"), []
    photos = {
        str(path.relative_to(project.photos)): path.read_bytes() for path in project.photos.rglob("*.png")
    }
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            if not _is_whole(key, body, photos):
                found.append(f"not what its name says: s3://{bucket}/{key}, {len(body)} bytes")
    return found


def _is_whole(key: str, body: bytes, photos: dict[str, bytes]) -> bool:
    parts = key.split("/")
    digest = hashlib.sha256(body).hexdigest()
    if parts[0] == "models" and parts[-1] == "model.tar.gz":
        return digest == parts[1]
    if parts[:2] == ["training", "source"] and key.endswith(".tar.gz"):
        return hashlib.sha256(gzip.decompress(body)).hexdigest()[:32] == parts[2]
    if parts[:2] == ["training", "weights"]:
        return digest[:32] == parts[2]
    if parts[:2] == ["training", "data"]:
        return photos.get("/".join(parts[3:]), body) == body
    return True


Listing = Callable[[Any], Iterator[str]]


def _all(operation: str, key: str, field: str | None, **arguments: Any) -> Listing:
    def listing(client: Any) -> Iterator[str]:
        token: dict[str, Any] = {}
        pages = (
            client.get_paginator(operation).paginate(**arguments)
            if client.can_paginate(operation)
            else [getattr(client, operation)(**arguments, **token)]
        )
        for page in pages:
            for entry in page.get(key, []):
                yield str(entry if field is None else entry[field])

    return listing


def _instances(client: Any) -> Iterator[str]:
    for page in client.get_paginator("describe_instances").paginate():
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] not in ("shutting-down", "terminated"):
                    yield instance["InstanceId"]


def _policies(client: Any) -> Iterator[str]:
    yield from (one["Arn"] for one in client.list_policies(Scope="Local")["Policies"])


def _interfaces(client: Any) -> Iterator[str]:
    for page in client.get_paginator("describe_network_interfaces").paginate():
        for entry in page["NetworkInterfaces"]:
            yield f"{entry['NetworkInterfaceId']} ({entry['Description']})"


def _endpoints(client: Any) -> Iterator[str]:
    for page in client.get_paginator("describe_vpc_endpoints").paginate():
        for entry in page["VpcEndpoints"]:
            if entry["State"].lower() not in ("deleted", "deleting"):
                yield entry["VpcEndpointId"]


INVENTORY: tuple[tuple[str, str, Listing], ...] = (
    ("sagemaker", "endpoint", _all("list_endpoints", "Endpoints", "EndpointName")),
    ("sagemaker", "configuration", _all("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName")),
    ("sagemaker", "model", _all("list_models", "Models", "ModelName")),
    (
        "sagemaker",
        "component",
        _all("list_inference_components", "InferenceComponents", "InferenceComponentName"),
    ),
    ("sagemaker", "notebook", _all("list_notebook_instances", "NotebookInstances", "NotebookInstanceName")),
    ("lambda", "function", _all("list_functions", "Functions", "FunctionName")),
    ("iam", "role", _all("list_roles", "Roles", "RoleName")),
    ("iam", "policy", _policies),
    ("iam", "profile", _all("list_instance_profiles", "InstanceProfiles", "InstanceProfileName")),
    ("ec2", "vpc", _all("describe_vpcs", "Vpcs", "VpcId")),
    ("ec2", "subnet", _all("describe_subnets", "Subnets", "SubnetId")),
    ("ec2", "security group", _all("describe_security_groups", "SecurityGroups", "GroupId")),
    ("ec2", "route table", _all("describe_route_tables", "RouteTables", "RouteTableId")),
    ("ec2", "interface", _interfaces),
    ("ec2", "VPC endpoint", _endpoints),
    ("ec2", "instance", _instances),
    ("ec2", "volume", _all("describe_volumes", "Volumes", "VolumeId")),
    ("ec2", "flow log", _all("describe_flow_logs", "FlowLogs", "FlowLogId")),
    ("ec2", "address", _all("describe_addresses", "Addresses", "AllocationId")),
    ("logs", "log group", _all("describe_log_groups", "logGroups", "logGroupName")),
    ("cloudwatch", "alarm", _all("describe_alarms", "MetricAlarms", "AlarmName")),
    ("cloudwatch", "dashboard", _all("list_dashboards", "DashboardEntries", "DashboardName")),
    (
        "application-autoscaling",
        "scalable target",
        _all("describe_scalable_targets", "ScalableTargets", "ResourceId", ServiceNamespace="sagemaker"),
    ),
    (
        "application-autoscaling",
        "scaling policy",
        _all("describe_scaling_policies", "ScalingPolicies", "PolicyName", ServiceNamespace="sagemaker"),
    ),
    ("sns", "topic", _all("list_topics", "Topics", "TopicArn")),
    ("ecr", "repository", _all("describe_repositories", "repositories", "repositoryName")),
    ("s3", "bucket", _all("list_buckets", "Buckets", "Name")),
)


def inventory(project: Project) -> set[str]:
    """All that the cloud holds, read as its root, without the project's own sweep."""
    found = {
        f"{kind} {name}"
        for service, kind, listing in INVENTORY
        for name in listing(project.client(service))
        if not name.startswith(_AWS_OWN)
    }
    return found - {f"bucket {PHOTOS}"}
