"""Our own rules: what the scanner has no check for, in SageMaker and in this project. Pure functions of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ops.policy import account_rules, serving_rules
from ops.policy.scene import Scene
from ops.review.facts import Finding, PolicySeverity
from ops.review.resources import Resource

Find = Callable[[Scene], Iterator[tuple[Resource, str]]]


@dataclass(frozen=True)
class Rule:
    """A rule: what it finds it says of a resource."""

    id: str
    severity: PolicySeverity
    find: Find
    remedy: str
    prod_only: bool = False


RULES = (
    Rule(
        "secret-in-plain-text", "critical", account_rules.secrets_in_plain_text,
        "Take it out, count it as known to others, and let the program fetch it from Secrets Manager.",
    ),
    Rule(
        "foreign-image", "high", serving_rules.foreign_images,
        "Copy the image into a repository of the account (./inv image --push), and name that.",
    ),
    Rule(
        "image-without-digest", "high", serving_rules.images_without_digest,
        "Name the image by its digest, @sha256:…: ./inv image --push prints the line.", prod_only=True,
    ),
    Rule(
        "archive-elsewhere", "high", serving_rules.archives_elsewhere,
        "Serve an archive out of the artifact bucket: what ./inv train leaves is put there.",
    ),
    Rule(
        "capture-elsewhere", "high", serving_rules.captures_elsewhere,
        "Capture into the stage's own artifact bucket: requests hold people's photos.",
    ),
    Rule(
        "open-container-network", "high", serving_rules.open_networks,
        "Set endpoint.network_isolation = true, or endpoint.in_vpc = true.", prod_only=True,
    ),
    Rule(
        "volume-without-declared-key", "medium", serving_rules.volumes_without_key,
        "Name the key in endpoint.volume_kms_key_arn, too.",
    ),
    Rule(
        "plain-traffic-between-containers", "medium", serving_rules.plain_traffic,
        "Set enable_inter_container_traffic_encryption = true in its network_config.",
    ),
    Rule(
        "role-without-source", "high", account_rules.roles_without_source,
        "Add a condition on aws:SourceAccount, or aws:SourceArn, to the trust policy.",
    ),
    Rule(
        "bucket-without-tls", "high", account_rules.buckets_without_tls,
        "Deny s3:* where aws:SecureTransport is false: modules/private_bucket does.",
    ),
    Rule(
        "unreserved-concurrency", "medium", serving_rules.unreserved_concurrency,
        "Set lambda.reserved_concurrency: it bounds what a flood of calls costs.", prod_only=True,
    ),
    Rule(
        "logs-forever", "medium", account_rules.logs_forever,
        "Set its retention: log_retention_days.",
    ),
    Rule(
        "scaling-without-alarm", "medium", serving_rules.scaling_without_alarm,
        "Leave observability's alarms in place, or add one on this endpoint.",
    ),
    Rule(
        "silent-alarm", "medium", account_rules.silent_alarms,
        "Set observability.notifications.", prod_only=True,
    ),
    Rule(
        "alarms-without-readers", "low", account_rules.topics_without_readers,
        "Name addresses in observability.notifications.emails.", prod_only=True,
    ),
    Rule(
        "untagged", "low", account_rules.untagged,
        "Leave the provider's default_tags in place: the sweep after a destroy looks for kennel:stage.",
    ),
)  # fmt: skip


def judge(plan: dict[str, Any]) -> list[Finding]:
    """Return what our rules have against what the plan leaves."""
    scene = Scene(plan)
    return [
        Finding(
            rule.id, rule.severity, resource.address, text, rule.remedy, "kennel",
            changed=resource.action in {"create", "update", "replace"},
        )
        for rule in RULES
        if scene.is_prod or not rule.prod_only
        for resource, text in rule.find(scene)
    ]  # fmt: skip
