"""What a stage has elsewhere: function, images, alarms, logs, roles, the artifact bucket, and whatever has its tag."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops.sweep.listing import belongs, pairs

if TYPE_CHECKING:
    from ops.sweep.sweeper import Sweeper

# What Application Auto Scaling names its alarms after: they have no tags.
_TRACKING = ("TargetTracking-endpoint/", "TargetTracking-inference-component/")

# Kinds of ARNs that other listings look for, or that are to stay. The tagging service tells of them for hours after
# they went.
_KNOWN = {
    "s3": {""},
    "lambda": {"function"},
    "sagemaker": {
        "endpoint", "endpoint-config", "model", "inference-component", "notebook-instance",
        "notebook-instance-lifecycle-config", "training-job", "hyper-parameter-tuning-job", "transform-job",
    },
    "ec2": {
        "elastic-ip", "instance", "internet-gateway", "natgateway", "network-interface", "route-table",
        "security-group", "security-group-rule", "subnet", "volume", "vpc", "vpc-endpoint", "vpc-flow-log",
        "flow-logs",
    },
    "cloudwatch": {"alarm"},
    "cloudformation": {"stack"},
    "ecr": {"repository"},
    "logs": {"log-group"},
    "sns": {""},
    "iam": {"role", "instance-profile", "policy", "oidc-provider"},
    "application-autoscaling": {"scalable-target"},
}  # fmt: skip


def function_tags(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = sweeper.client("lambda").list_tags(Resource=entry["FunctionArn"])["Tags"]
    return found


def repository_tags(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
    return pairs(sweeper.client("ecr").list_tags_for_resource(resourceArn=entry["repositoryArn"])["tags"])


def delete_repository(sweeper: Sweeper, name: str) -> None:
    sweeper.client("ecr").delete_repository(repositoryName=name, force=True)  # with the images in it


def role_tags(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
    return pairs(sweeper.client("iam").list_role_tags(RoleName=entry["RoleName"])["Tags"])


def delete_role(sweeper: Sweeper, role: str) -> object:
    iam = sweeper.client("iam")
    for profile in iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]:
        iam.remove_role_from_instance_profile(
            InstanceProfileName=profile["InstanceProfileName"], RoleName=role
        )
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=attached["PolicyArn"])
    return iam.delete_role(RoleName=role)


def instance_profiles(sweeper: Sweeper) -> Iterator[str]:
    """By name, and not those with a role in them that is none of ours."""
    for entry in sweeper.pages("iam", "list_instance_profiles", "InstanceProfiles"):
        roles = [role["RoleName"] for role in entry.get("Roles", [])]
        if sweeper.is_ours(entry["InstanceProfileName"]) and all(sweeper.is_ours(role) for role in roles):
            yield entry["InstanceProfileName"]


def delete_instance_profile(sweeper: Sweeper, name: str) -> object:
    iam = sweeper.client("iam")
    for role in iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    return iam.delete_instance_profile(InstanceProfileName=name)


def alarms(sweeper: Sweeper) -> Iterator[str]:
    client = sweeper.client("cloudwatch")
    for alarm in sweeper.pages("cloudwatch", "describe_alarms", "MetricAlarms"):
        if sweeper.is_ours(alarm["AlarmName"]):
            tags = client.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
            if belongs(sweeper, pairs(tags), untagged=True):
                yield alarm["AlarmName"]


def tracking_alarms(sweeper: Sweeper) -> Iterator[str]:
    """Those that Application Auto Scaling made: without tags, and named after what scales."""
    for alarm in sweeper.pages("cloudwatch", "describe_alarms", "MetricAlarms"):
        name = alarm["AlarmName"]
        for start in _TRACKING:
            scaled = name.removeprefix(start).split("/")[0].split("-Alarm")[0]
            if name.startswith(start) and sweeper.is_ours(scaled):
                yield name


def topics(sweeper: Sweeper) -> Iterator[str]:
    client = sweeper.client("sns")
    for topic in sweeper.pages("sns", "list_topics", "Topics"):
        arn = topic["TopicArn"]
        if sweeper.is_ours(arn.rpartition(":")[2]):
            tags = client.list_tags_for_resource(ResourceArn=arn)["Tags"]
            if belongs(sweeper, pairs(tags), untagged=True):
                yield arn


def log_groups(sweeper: Sweeper) -> Iterator[str]:
    """Services make some by themselves, without tags."""
    client = sweeper.client("logs")
    for group in sweeper.pages("logs", "describe_log_groups", "logGroups"):
        name = group["logGroupName"]
        if any(sweeper.is_ours(part) for part in name.split("/")):
            tags: dict[str, str] = client.list_tags_log_group(logGroupName=name).get("tags") or {}
            if belongs(sweeper, tags, untagged=True):
                yield name


def artifact_bucket(sweeper: Sweeper) -> Iterator[str]:
    """Data buckets are not even looked at."""
    buckets = sweeper.client("s3").list_buckets()["Buckets"]
    return (bucket["Name"] for bucket in buckets if bucket["Name"] == sweeper.artifact_bucket)


def purge_bucket(s3: Any, bucket: str) -> None:
    """Delete all versions of all objects in a bucket.

    Raises:
        ClientError: one of them stays.
    """
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = [
            {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])
        ]
        if entries:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
            for stays in answer.get("Errors", []):  # of a call that succeeds
                told: Any = {"Code": stays["Code"], "Message": f"{stays['Key']}: {stays.get('Message', '')}"}
                raise ClientError({"Error": told}, "DeleteObjects")


def remove_bucket(s3: Any, bucket: str) -> None:
    """Empty a bucket and delete it, unless it is gone."""
    # Deleted before: the answer to that may have been lost.
    with contextlib.suppress(s3.exceptions.NoSuchBucket):
        purge_bucket(s3, bucket)
        s3.delete_bucket(Bucket=bucket)


def anything_tagged(sweeper: Sweeper) -> Iterator[str]:
    """The ARNs of what has the stage's tag, and is of a kind that no other listing looks for."""
    filters = [{"Key": "kennel:stage", "Values": [sweeper.prefix]}]
    for entry in sweeper.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters
    ):
        arn: str = entry["ResourceARN"]
        service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
        kind = rest.replace(":", "/").partition("/")[0] if "/" in rest or ":" in rest else ""
        if kind not in _KNOWN.get(service, set()):
            yield arn


def by_hand(_: Sweeper, __: str) -> object:
    """Nothing here knows how such a thing is removed, or whether it may be."""
    raise KennelError("Nothing here removes what the project does not make.")
