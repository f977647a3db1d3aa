"""What Application Auto Scaling is asked for, as the scaling engine takes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.cloudwatch.models import Alarm, CloudWatchBackend

from localcloud import alarms, scaling
from localcloud.metric_math import Expression
from localcloud.metrics import MetricKey, Metrics, dimensions
from localcloud.scaled_variant import Value
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
        CustomMetric(customized)  # refuses what it does not know
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


class CustomMetric:
    """CustomizedMetricSpecification: one metric, or arithmetic over several."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        queries = body.get("Metrics") or []
        stats = {query["Id"]: query["MetricStat"] for query in queries if query.get("MetricStat")}
        self._stats = {name: (_key(stat["Metric"]), _statistic(stat["Stat"])) for name, stat in stats.items()}
        asked = next((query for query in queries if query.get("ReturnData", True)), None)
        if asked is None:
            self._stats["m"] = (_key(body), _statistic(body["Statistic"]))
        text = "m" if asked is None else asked.get("Expression") or asked["Id"]
        self._expression = Expression(text)

    def value(self, backend: CloudWatchBackend, period: int) -> Value:
        def read(number: int) -> float | None:
            values = {
                name: Metrics.period(backend.account_id, backend.region_name, key, number, period, statistic)
                for name, (key, statistic) in self._stats.items()
            }
            return self._expression(values)

        return read


def _key(metric: dict[str, Any]) -> MetricKey:
    return metric["Namespace"], metric["MetricName"], dimensions(metric)


def _statistic(name: str) -> str:
    if not is_statistic(name):
        raise NotImplementedError(f"target tracking on the statistic {name}")
    return name
