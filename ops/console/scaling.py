"""What scales the endpoint, what it did, and the stage's alarms."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ops.console.cloud import Cloud
from ops.console.endpoint import seconds
from ops.scaling import resource_id

ACTIVITIES = 40


def scaling(cloud: Cloud) -> dict[str, Any] | None:
    """Describe what scales the endpoint, and what it did; None where nothing does."""
    outputs = cloud.outputs
    if not outputs.get("endpoint_name") or not outputs.get("endpoint_variant"):
        return None
    client = cloud.client("application-autoscaling")
    resource = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": resource_id(outputs),
    }
    targets = client.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[resource["ResourceId"]]
    )["ScalableTargets"]
    if not targets:
        return None
    return {
        "min": targets[0]["MinCapacity"],
        "max": targets[0]["MaxCapacity"],
        "policies": [
            _policy(each) for each in client.describe_scaling_policies(**resource)["ScalingPolicies"]
        ],
        "scheduled": _optional(
            lambda: [
                {
                    "name": each["ScheduledActionName"],
                    "schedule": each["Schedule"],
                    "min": each.get("ScalableTargetAction", {}).get("MinCapacity"),
                    "max": each.get("ScalableTargetAction", {}).get("MaxCapacity"),
                }
                for each in client.describe_scheduled_actions(**resource)["ScheduledActions"]
            ]
        ),
        "activities": _optional(
            lambda: read_activities(
                client.describe_scaling_activities(
                    **resource, IncludeNotScaledActivities=True, MaxResults=ACTIVITIES
                )["ScalingActivities"]
            )
        ),
    }


def read_activities(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put AWS's activities into words and counts, the newest first."""
    read: list[dict[str, Any]] = []
    count: int | None = None  # AWS tells where to, not where from: that is where the one before led
    for each in sorted(found, key=lambda activity: activity["StartTime"]):
        reasons = each.get("NotScaledReasons") or []
        match = re.search(r"\bto (\d+)", each.get("Description", ""))
        to = int(match[1]) if match and not reasons else None
        read.append(
            {
                "id": each["ActivityId"],
                "began": seconds(each["StartTime"]),
                "ended": seconds(each.get("EndTime")),
                "status": each["StatusCode"],
                "why": _why(each.get("Cause", "")),
                "cause": each.get("Cause", ""),
                "message": each.get("StatusMessage", ""),
                "from": count,
                "to": to,
                "not_scaled": [reason["Code"] for reason in reasons],
            }
        )
        if to is not None and each["StatusCode"] == "Successful":
            count = to
    return read[::-1]


def _why(cause: str) -> str:
    """The cause in few words; AWS's own are shown beside it."""
    if match := re.search(r"monitor alarm (\S+) in state \w+ triggered policy (\S+)", cause):
        side = "above" if "AlarmHigh" in match[1] else "below" if "AlarmLow" in match[1] else "off"
        return f"metric {side} target" if side != "off" else f"alarm {match[1]}"
    if match := re.search(r"(minimum|maximum) capacity was set to (\d+)", cause):
        return f"{match[1]} set to {match[2]}"
    if match := re.search(r"scheduled action name (\S+)", cause):
        return f"schedule {match[1]}"
    return cause[:80] or "unknown"


def _policy(found: dict[str, Any]) -> dict[str, Any]:
    tracking = found.get("TargetTrackingScalingPolicyConfiguration") or {}
    step = found.get("StepScalingPolicyConfiguration") or {}
    metric = (tracking.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    custom = (tracking.get("CustomizedMetricSpecification") or {}).get("MetricName")
    return {
        "name": found["PolicyName"],
        "type": found["PolicyType"],
        "metric": metric or custom,
        "target": tracking.get("TargetValue"),
        "out_cooldown": tracking.get("ScaleOutCooldown", step.get("Cooldown")),
        "in_cooldown": tracking.get("ScaleInCooldown", step.get("Cooldown")),
        "scales_in": not tracking.get("DisableScaleIn", False),
        "alarms": [alarm["AlarmName"] for alarm in found.get("Alarms", [])],
    }


def alarms(cloud: Cloud) -> list[dict[str, Any]]:
    """Return the stage's alarms and those of its scaling, the loudest first."""
    client = cloud.client("cloudwatch")
    prefixes = [f"{cloud.prefix}-"]
    if name := cloud.outputs.get("inference_component_name"):
        prefixes.append(f"TargetTracking-inference-component/{name}")
    elif name := cloud.outputs.get("endpoint_name"):
        prefixes.append(f"TargetTracking-endpoint/{name}/")
    found = [
        alarm
        for prefix in prefixes
        for alarm in client.describe_alarms(AlarmNamePrefix=prefix, MaxRecords=100)["MetricAlarms"]
    ]
    order = {"ALARM": 0, "INSUFFICIENT_DATA": 1, "OK": 2}
    shown = [
        {
            "name": alarm["AlarmName"],
            "label": _label(alarm["AlarmName"], cloud.prefix),
            "state": alarm["StateValue"],
            "since": seconds(alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp")),
            "reason": alarm.get("StateReason", ""),
            "rule": _rule(alarm),
            "scales": alarm["AlarmName"].startswith("TargetTracking-"),
        }
        for alarm in found
    ]
    return sorted(shown, key=lambda alarm: (order.get(alarm["state"], 3), alarm["label"]))


def _label(name: str, prefix: str) -> str:
    if match := re.search(r"-(AlarmHigh|AlarmLow)", name):
        return f"target tracking: {'scale out' if match[1] == 'AlarmHigh' else 'scale in'}"
    return name.removeprefix(f"{prefix}-")


_SIGNS = {
    "GreaterThanOrEqualToThreshold": "≥",
    "GreaterThanThreshold": ">",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "≤",
}


def _rule(alarm: dict[str, Any]) -> str:
    queries = alarm.get("Metrics", [])
    shown = [each.get("Label") or each.get("Expression") for each in queries if each.get("ReturnData", True)]
    stated = [each["MetricStat"]["Period"] for each in queries if "MetricStat" in each]
    metric = alarm.get("MetricName") or next(iter(shown), "metric")
    period = alarm.get("Period") or next(iter(stated), 60)
    periods = alarm["EvaluationPeriods"]
    points = alarm.get("DatapointsToAlarm") or periods
    sign = _SIGNS.get(alarm["ComparisonOperator"], alarm["ComparisonOperator"])
    return f"{metric} {sign} {alarm.get('Threshold', 0):,.10g}, {points} of {periods} × {period} s"


def _optional(read: Callable[[], Any]) -> Any:
    """What the cloud may not know of, or the credentials not see, is left out: None, not an empty list."""
    try:
        return read()
    except ClientError:
        return None
