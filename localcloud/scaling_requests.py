"""What Application Auto Scaling is asked for, as the scaling engine takes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.cloudwatch.models import Alarm

from localcloud import alarms, scaling
from localcloud.metric_math import Expression
from localcloud.statistics import is_statistic

METRICS = {  # AWS's name of a predefined metric: CloudWatch's
    scaling.MINUTE_METRIC: "InvocationsPerInstance",
    scaling.FAST_METRIC: "ConcurrentRequestsPerModel",
}
COMPONENT_METRICS = {
    "SageMakerInferenceComponentInvocationsPerCopy": "InvocationsPerCopy",
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": "ConcurrentRequestsPerCopy",
}


def suspended(state: dict[str, bool] | None) -> scaling.Suspended:
    state = state or {}
    return scaling.Suspended(
        bool(state.get("DynamicScalingInSuspended")),
        bool(state.get("DynamicScalingOutSuspended")),
        bool(state.get("ScheduledScalingSuspended")),
    )


def tracking(name: str, body: dict[str, Any], metrics: Mapping[str, str] = METRICS) -> scaling.TargetTracking:
    """`metrics`: those that are predefined for the kind of target."""
    predefined = (body.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    customized = body.get("CustomizedMetricSpecification")
    if bool(predefined) == bool(customized):
        raise AWSValidationException(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified."
        )
    if predefined and predefined not in metrics:
        raise AWSValidationException(
            f"Predefined metric type {predefined} is not supported for this scalable target."
        )
    if customized:
        _check_customized(customized)
    return scaling.TargetTracking(
        name,
        float(body["TargetValue"]),
        predefined or f"customized metric of {name}",
        float(body.get("ScaleOutCooldown", 300)),
        float(body.get("ScaleInCooldown", 300)),
        not body.get("DisableScaleIn", False),
    )


def steps(name: str, body: dict[str, Any], triggers: list[Alarm]) -> scaling.StepScaling:
    kind = body.get("AdjustmentType")
    if kind not in ("ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity"):
        raise AWSValidationException(f"AdjustmentType must be specified and known, received {kind}.")
    return scaling.StepScaling(
        name,
        tuple(alarms.watched(alarm, trigger_key(alarm), alarms.period_of(alarm)) for alarm in triggers),
        tuple(
            scaling.Step(
                int(step["ScalingAdjustment"]),
                step.get("MetricIntervalLowerBound"),
                step.get("MetricIntervalUpperBound"),
            )
            for step in body.get("StepAdjustments") or []
        ),
        kind,
        float(body.get("Cooldown", 300)),
        int(body.get("MinAdjustmentMagnitude") or 1),
    )


def trigger_key(alarm: Alarm) -> str:
    return f"alarm {alarm.name}"


def scheduled(request: dict[str, Any]) -> scaling.ScheduledAction:
    action = request.get("ScalableTargetAction") or {}
    return scaling.ScheduledAction(
        request["ScheduledActionName"],
        request["Schedule"],
        action.get("MinCapacity"),
        action.get("MaxCapacity"),
        request.get("Timezone") or "UTC",
        _seconds(request.get("StartTime")),
        _seconds(request.get("EndTime")),
    )


def _seconds(time: float | str | None) -> float | None:
    if isinstance(time, str):
        return datetime.fromisoformat(time).timestamp()
    return None if time is None else float(time)


def _check_customized(body: dict[str, Any]) -> None:
    """NotImplementedError where the alarms could not be evaluated."""
    queries = body.get("Metrics") or []
    if queries and not any(query.get("ReturnData", True) for query in queries):
        raise AWSValidationException("One of the metrics of a customized metric must return data.")
    stats = [query["MetricStat"] for query in queries if query.get("MetricStat")]
    measured = (
        [(stat["Metric"], stat["Stat"]) for stat in stats] if queries else [(body, body.get("Statistic"))]
    )
    for metric, statistic in measured:
        if not (metric.get("Namespace") and metric.get("MetricName") and statistic):
            raise AWSValidationException(
                "Namespace, MetricName and a statistic must be specified for each metric of a customized one."
            )
        if not is_statistic(statistic):
            raise NotImplementedError(f"target tracking on the statistic {statistic}")
    for query in queries:
        if query.get("Expression"):
            Expression(query["Expression"])
