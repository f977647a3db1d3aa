"""Rules on what everything stands on: roles, buckets, logs, alarms, tags, and secrets in plain sight."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ops.policy.scene import Scene, as_list, statements
from ops.review import redact
from ops.review.resources import Resource

Found = Iterator[tuple[Resource, str]]

# Services that name no source when they assume a role: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
WITHOUT_SOURCE = {"ec2.amazonaws.com", "lambda.amazonaws.com"}
SCRIPTS = ("user_data", "user_data_base64", "on_start", "on_create")
TAG = "kennel:stage"


def secrets_in_plain_text(scene: Scene) -> Found:
    """Find variables and scripts that hold what looks like a secret; what it is, nobody is told."""
    for one in scene.of("aws_lambda_function"):
        yield from _in_variables(one, one.will("environment", 0, "variables"))
    for container in scene.containers:
        yield from _in_variables(container.resource, container.variables)
    for one in scene.resources:
        for name in SCRIPTS:
            script = one.will(name)
            if isinstance(script, str) and _is_secret(_decoded(script)):
                yield one, f"{name} holds what looks like a secret, for everybody who may look at it."


def roles_without_source(scene: Scene) -> Found:
    """Find roles that a service may be talked into using for somebody else's account."""
    for one in scene.of("aws_iam_role"):
        for statement in statements(one.will("assume_role_policy")):
            principal = statement.get("Principal")
            services = set(as_list(principal.get("Service") if isinstance(principal, dict) else None))
            keys = {key.lower() for test in statement.get("Condition", {}).values() for key in test}
            bound = keys & {"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid"}
            open_to = sorted(services - WITHOUT_SOURCE)
            if statement.get("Effect") == "Allow" and open_to and not bound:
                yield (
                    one,
                    f"{', '.join(open_to)} may assume the role for anybody's resources, not for this account's alone.",
                )


def buckets_without_tls(scene: Scene) -> Found:
    """Find buckets whose policy does not refuse unencrypted requests."""
    policies = scene.of("aws_s3_bucket_policy")
    for one in scene.of("aws_s3_bucket"):
        name = one.will("bucket")
        of_bucket = [each for each in policies if each.will("bucket") == name or not each.knows("bucket")]
        unknown = any(not each.knows("policy") for each in of_bucket)
        if name and not unknown and not any(_denies_plain(each.will("policy"), name) for each in of_bucket):
            yield one, f"The bucket {name} takes requests without TLS."


def logs_forever(scene: Scene) -> Found:
    """Find log groups that keep all, and are paid for, for ever."""
    for one in scene.of("aws_cloudwatch_log_group"):
        if one.knows("retention_in_days") and not one.will("retention_in_days"):
            yield one, f"The log group {one.will('name') or one.address} is kept for ever."


def silent_alarms(scene: Scene) -> Found:
    """Find alarms that nobody hears of."""
    for one in scene.of("aws_cloudwatch_metric_alarm"):
        if one.knows("alarm_actions") and not one.will("alarm_actions"):
            yield one, f"The alarm {one.will('alarm_name')} does nothing and tells nobody."


def topics_without_readers(scene: Scene) -> Found:
    """Find the alarms' topic where it has no subscription."""
    if scene.of("aws_sns_topic_subscription"):
        return
    for one in scene.of("aws_sns_topic"):
        yield one, f"Nobody has subscribed to {one.will('name') or one.address}: alarms reach nobody."


def untagged(scene: Scene) -> Found:
    """Find what could bear the stage's tag and does not."""
    for one in scene.resources:
        if "tags_all" in one.after and one.knows("tags_all") and TAG not in (one.will("tags_all") or {}):
            yield one, f"It does not bear the tag {TAG}."


def _in_variables(resource: Resource, variables: Any) -> Found:
    for name, value in sorted((variables if isinstance(variables, Mapping) else {}).items()):
        if not isinstance(value, str) or not value:
            continue
        if _is_secret(value) or (redact.says_secret(name, setting=True) and not value.startswith("arn:")):
            yield (
                resource,
                f"The variable {name} looks like a secret, for everybody who may look at its settings.",
            )


def _is_secret(text: str) -> bool:
    return redact.scrub(text) != text


def _decoded(script: str) -> str:
    """Return a script as text: some attributes are base64."""
    try:
        return base64.b64decode(script, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return script


def _denies_plain(policy: Any, bucket: str) -> bool:
    """Tell whether a bucket's policy refuses what comes without TLS, from anybody and for everything."""
    for statement in statements(policy):
        tests = [
            (how, key.lower(), [str(each).lower() for each in as_list(value)])
            for how, keys in statement.get("Condition", {}).items()
            for key, value in keys.items()
        ]
        everybody = json.dumps(statement.get("Principal")) in {'"*"', '{"AWS": "*"}'}
        everything = {"s3:*", "*"} & set(as_list(statement.get("Action")))
        everywhere = any(
            each == "*" or each.endswith(f":::{bucket}/*") for each in as_list(statement.get("Resource"))
        )
        plain = tests == [("Bool", "aws:securetransport", ["false"])]
        if statement.get("Effect") == "Deny" and everybody and everything and everywhere and plain:
            return True
    return False
