"""Rules on what serves: models, endpoints, the function. What is not known before the apply breaks no rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ops.policy.scene import Scene
from ops.review.resources import Resource

Found = Iterator[tuple[Resource, str]]

# Where AWS keeps its own deep learning containers, by region; docs/sagemaker "Docker registry paths", as of 2026-11.
AWS_REGISTRIES = {
    "763104351884", "871362719292", "217643126080", "692866216735", "727897471807", "442386744353", "364406365360",
    "914824155844", "457447274322", "772153158452", "503227376785", "780543022126", "380420809688", "204538143572",
}  # fmt: skip

# Types with a disk of their own, which SageMaker lets nobody name a key for.
LOCAL_DISK = re.compile(r"^ml\.([a-z]+\d+[a-z]*d[a-z]*|g\d[a-z]*|p[4-9][a-z]*|trn\d[a-z]*|inf\d[a-z]*)\.")


def foreign_images(scene: Scene) -> Found:
    """Find images out of accounts that are neither ours nor AWS's."""
    for each in scene.containers:
        account = (each.image or "").partition(".")[0]
        if each.image and scene.account and account not in {scene.account, *AWS_REGISTRIES}:
            yield each.resource, f"The container image {each.image} is of another account, {account}."


def images_without_digest(scene: Scene) -> Found:
    """Find images named by a tag, which may be another image tomorrow."""
    for each in scene.containers:
        if each.image and "@sha256:" not in each.image:
            yield each.resource, f"The container image {each.image} is named by a tag, not by its digest."


def archives_elsewhere(scene: Scene) -> Found:
    """Find model archives that are in no bucket of the stage."""
    for each in scene.containers:
        bucket = _bucket(each.archive)
        if bucket and scene.buckets and bucket not in scene.buckets:
            yield (
                each.resource,
                f"The model's archive is in the bucket {bucket}, which is none of the stage's.",
            )


def captures_elsewhere(scene: Scene) -> Found:
    """Find endpoints that record requests in a bucket that is not the stage's."""
    for each in scene.endpoint_configurations:
        bucket = _bucket(each.capture_uri)
        if bucket and scene.buckets and bucket not in scene.buckets:
            yield (
                each.resource,
                f"Requests and answers are recorded in the bucket {bucket}, which is none of the stage's.",
            )


def open_networks(scene: Scene) -> Found:
    """Find containers that reach the internet: neither isolated nor in a VPC."""
    for one in scene.of("aws_sagemaker_model"):
        if one.will("enable_network_isolation") or one.will("vpc_config"):
            continue
        if one.knows("enable_network_isolation") and one.knows("vpc_config"):
            yield one, "The model's container may talk to anybody on the internet."


def volumes_without_key(scene: Scene) -> Found:
    """Find endpoints whose disks have no key of ours where the stage has one."""
    for each in scene.endpoint_configurations:
        may_have = any(not LOCAL_DISK.match(kind) for kind in each.instance_types)
        if scene.declares_a_key and may_have and not each.has_key:
            yield (
                each.resource,
                "The stage has a KMS key of its own, and the endpoint's disks are not encrypted with it.",
            )


def plain_traffic(scene: Scene) -> Found:
    """Find jobs of several containers that talk to each other in plain text."""
    for one in scene.resources:
        if one.type.startswith("aws_sagemaker_") and one.type.endswith("_job_definition"):
            resources = one.will("job_resources", 0, "cluster_config", 0, "instance_count") or 1
            if resources > 1 and not one.will(
                "network_config", 0, "enable_inter_container_traffic_encryption"
            ):
                yield one, "The job's containers talk to each other without encryption."


def unreserved_concurrency(scene: Scene) -> Found:
    """Find functions that may take all of the account's concurrency."""
    for one in scene.of("aws_lambda_function"):
        if one.knows("reserved_concurrent_executions") and one.will("reserved_concurrent_executions") in {
            None,
            -1,
        }:
            yield one, "The function's concurrency is not bounded: it may take all that the account has."


def scaling_without_alarm(scene: Scene) -> Found:
    """Find endpoints that scale while no alarm watches them: nobody hears that the maximum does not suffice."""
    watched = set()
    for alarm in scene.of("aws_cloudwatch_metric_alarm"):
        if "AlarmHigh" in (alarm.will("alarm_name") or "") or alarm.address.startswith("module.autoscaling"):
            continue
        queries = [query.get("metric") or [] for query in alarm.will("metric_query") or []]
        for dimensions in [
            alarm.will("dimensions"),
            *(metric.get("dimensions") for each in queries for metric in each),
        ]:
            watched.add((dimensions or {}).get("EndpointName"))
    for one in scene.of("aws_appautoscaling_target"):
        endpoint = re.match(r"endpoint/([^/]+)/", one.will("resource_id") or "")
        grows = (one.will("max_capacity") or 0) > (one.will("min_capacity") or 0)
        if endpoint and grows and endpoint[1] not in watched:
            yield (
                one,
                f"The endpoint {endpoint[1]} scales, and no alarm tells when its maximum does not suffice.",
            )


def _bucket(uri: str | None) -> str | None:
    """Return the bucket of an s3:// address, or of an https:// one."""
    found = re.match(r"s3://([^/]+)|https://([^./]+)\.s3[.-]", uri or "")
    return (found[1] or found[2]) if found else None
