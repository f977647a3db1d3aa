"""The scaling of a variant as Terraform has it: read from a plan by resource type, or from the variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from localcloud.scaling import (
    FAST_METRIC,
    MINUTE_METRIC,
    Alarm,
    Limits,
    Policy,
    ScalingError,
    ScheduledAction,
    Step,
    StepScaling,
    TargetTracking,
)
from ml.errors import KennelError
from ops import declared
from ops.paths import TERRAFORM

# What CloudWatch calls the metrics that the predefined ones are made of.
ALARM_METRICS = {
    ("InvocationsPerInstance", "Sum"): MINUTE_METRIC,
    ("ConcurrentRequestsPerModel", "Average"): FAST_METRIC,
    ("ConcurrentRequestsPerCopy", "Average"): FAST_METRIC,
    ("Invocations", "Sum"): "Invocations",
    ("NoCapacityInvocationFailures", "Sum"): "NoCapacityInvocationFailures",
}
_PREDEFINED = {
    MINUTE_METRIC: MINUTE_METRIC,
    FAST_METRIC: FAST_METRIC,
    "SageMakerInferenceComponentInvocationsPerCopy": MINUTE_METRIC,
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": FAST_METRIC,
}


@dataclass(frozen=True)
class Scaling:
    """All that decides how many instances there are."""

    limits: Limits
    policies: tuple[Policy, ...] = ()
    scheduled: tuple[ScheduledAction, ...] = ()
    initial: int = 1
    instance_type: str | None = None
    source: str = ""  # where it was read

    @property
    def tracking(self) -> TargetTracking | None:
        return next((policy for policy in self.policies if isinstance(policy, TargetTracking)), None)

    def fixed(self) -> Scaling:
        return replace(self, policies=(), scheduled=(), limits=Limits(self.initial, self.initial))


@dataclass(frozen=True)
class _Resource:
    address: str
    module: str
    name: str
    key: Any
    values: dict[str, Any] = field(repr=False)


def of_plan(plan: dict[str, Any], source: str) -> Scaling | None:
    """Return what holds after the plan; None where it scales nothing."""
    by_type: dict[str, list[_Resource]] = {}
    for kind, resource in _resources((plan.get("planned_values") or {}).get("root_module") or {}):
        by_type.setdefault(kind, []).append(resource)
    targets = [
        target
        for target in by_type.get("aws_appautoscaling_target", [])
        if target.values.get("service_namespace") == "sagemaker"
    ]
    if not targets:
        return None
    if len(targets) > 1:
        names = ", ".join(target.address for target in targets)
        raise KennelError("A simulation is of one scalable target.", names, "Plan one endpoint at a time.")
    limits = Limits(targets[0].values["min_capacity"], targets[0].values["max_capacity"])
    references = dict(_references((plan.get("configuration") or {}).get("root_module") or {}))
    alarms = by_type.get("aws_cloudwatch_metric_alarm", [])
    policies: list[Policy] = []
    for policy in by_type.get("aws_appautoscaling_policy", []):
        if tracking := policy.values.get("target_tracking_scaling_policy_configuration"):
            policies.append(_tracking(policy.values["name"], tracking[0]))
        elif steps := policy.values.get("step_scaling_policy_configuration"):
            own = tuple(_alarm(each.values) for each in alarms if _triggers(each, policy, references))
            policies.append(_step(policy.values["name"], steps[0], own))
    scheduled = [_scheduled(each.values) for each in by_type.get("aws_appautoscaling_scheduled_action", [])]
    variants = [
        variant
        for each in by_type.get("aws_sagemaker_endpoint_configuration", [])
        for variant in each.values.get("production_variants") or []
    ]
    first = variants[0] if variants else {}
    return Scaling(
        limits,
        tuple(policies),
        tuple(scheduled),
        limits.clamp(int(first.get("initial_instance_count") or limits.minimum)),
        first.get("instance_type"),
        source,
    )


def of_variables(variables_file: Path, source: str) -> Scaling:
    """Return what the stage's variables and the modules' defaults declare.

    Raises:
        KennelError: the stage does not scale.
    """
    given = declared.value_of("autoscaling", variables_file)
    if given is None:
        raise KennelError(
            "The stage's endpoint scales.", "autoscaling = null", f"Give it a policy in {variables_file}."
        )
    module = "scale_to_zero" if given.get("scale_to_zero") else None
    values = _defaults("autoscaling", module) | {
        name: value for name, value in given.items() if value is not None
    }
    endpoint = _defaults("endpoint") | {
        name: value
        for name, value in (declared.value_of("endpoint", variables_file) or {}).items()
        if value is not None
    }
    limits = Limits(int(values["min_instances"]), int(values["max_instances"]))
    cooldowns = float(values["scale_out_cooldown_seconds"]), float(values["scale_in_cooldown_seconds"])
    policies: tuple[Policy, ...]
    if values.get("policy", "target-tracking") == "step":
        policies = _declared_steps(values, *cooldowns)
    else:
        policies = (
            TargetTracking(
                "target-tracking", float(values["target"]), _PREDEFINED[values["metric"]], *cooldowns,
                scales_in=not values["disable_scale_in"],
            ),
        )  # fmt: skip
    scheduled = tuple(
        ScheduledAction(
            name, each["schedule"], each.get("min_instances"), each.get("max_instances"),
            each.get("timezone") or "UTC",
        )
        for name, each in (values.get("scheduled") or {}).items()
    )  # fmt: skip
    initial = limits.clamp(int(endpoint["instance_count"]))
    return Scaling(limits, policies, scheduled, initial, endpoint["instance_type"], source)


def _declared_steps(values: dict[str, Any], out_cooldown: float, in_cooldown: float) -> tuple[Policy, ...]:
    metric = _PREDEFINED[values["metric"]]
    period = 10 if metric == FAST_METRIC else 60
    out, back = values["step"]["scale_out"], values["step"].get("scale_in")
    given = out.get("steps") or [{"above": 0, "add": 1}]
    ends = [each["above"] for each in given[1:]] + [None]
    steps = tuple(Step(int(each["add"]), each["above"], end) for each, end in zip(given, ends, strict=True))
    count = int(out.get("periods") or 3)
    high = Alarm(
        "scale-out",
        metric,
        "GreaterThanThreshold",
        float(out["threshold"]),
        period,
        count,
        count,
        "notBreaching",
    )
    policies = [StepScaling("scale-out", (high,), steps, cooldown=out_cooldown)]
    if back:
        count = int(back.get("periods") or 15)
        low = Alarm(
            "scale-in",
            metric,
            "LessThanThreshold",
            float(back["threshold"]),
            period,
            count,
            count,
            "breaching",
        )
        step = Step(-int(back.get("remove") or 1), None, 0)
        policies.append(StepScaling("scale-in", (low,), (step,), cooldown=in_cooldown))
    return tuple(policies)


def _defaults(variable: str, module: str | None = None) -> dict[str, Any]:
    """The defaults of optional attributes, the module's before the root's: plain numbers, strings, true and false."""
    found: dict[str, Any] = {}
    for directory in (TERRAFORM, TERRAFORM / "modules" / (module or variable)):
        block = declared.variables(directory)[variable]
        for name, text in re.findall(
            r"(\w+) = optional\(\w+, (-?[\d.]+|\\?\"[^\"]*\"|true|false)\)", str(block["type"])
        ):
            found[name] = _plain(text)
    return found


def _plain(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    bare = text.replace("\\", "").strip('"')
    try:
        return float(bare) if "." in bare else int(bare)
    except ValueError:
        return bare


def _resources(module: dict[str, Any]) -> Iterator[tuple[str, _Resource]]:
    for entry in module.get("resources", []):
        if entry.get("mode", "managed") == "managed":
            values, key = entry.get("values") or {}, entry.get("index")
            yield (
                entry["type"],
                _Resource(entry["address"], module.get("address", ""), entry["name"], key, values),
            )
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _references(module: dict[str, Any], path: str = "") -> Iterator[tuple[tuple[str, str], set[str]]]:
    """What each alarm's actions refer to, by module and name: their ARNs are not known before the first apply."""
    for entry in module.get("resources", []):
        if entry["type"] == "aws_cloudwatch_metric_alarm":
            actions = entry.get("expressions", {}).get("alarm_actions", {})
            yield (path, entry["name"]), set(actions.get("references", []))
    for name, call in module.get("module_calls", {}).items():
        yield from _references(call.get("module", {}), f"{path}.module.{name}".lstrip("."))


def _triggers(alarm: _Resource, policy: _Resource, references: dict[tuple[str, str], set[str]]) -> bool:
    known = alarm.values.get("alarm_actions")
    if known:
        return any(str(arn).endswith(f"policyName/{policy.values['name']}") for arn in known)
    if alarm.module != policy.module or alarm.key != policy.key:
        return False
    plain = re.sub(r"\[[^\]]*\]", "", alarm.module)  # without the instance keys of modules
    return f"aws_appautoscaling_policy.{policy.name}" in references.get((plain, alarm.name), set())


def _tracking(name: str, values: dict[str, Any]) -> TargetTracking:
    predefined = (values.get("predefined_metric_specification") or [{}])[0].get("predefined_metric_type")
    if predefined not in _PREDEFINED:
        raise KennelError(
            f"The policy {name} tracks a metric that the simulation knows: {', '.join(_PREDEFINED)}.",
            predefined or "a customized metric",
            "Choose another for the simulation with --set metric=….",
        )
    out, back = values.get("scale_out_cooldown"), values.get("scale_in_cooldown")
    return TargetTracking(
        name, float(values["target_value"]), _PREDEFINED[predefined],
        300.0 if out is None else float(out), 300.0 if back is None else float(back),
        not values.get("disable_scale_in"),
    )  # fmt: skip


def _step(name: str, values: dict[str, Any], alarms: tuple[Alarm, ...]) -> StepScaling:
    def bound(text: Any) -> float | None:
        return None if text in (None, "") else float(text)

    steps = tuple(
        Step(
            int(each["scaling_adjustment"]),
            bound(each.get("metric_interval_lower_bound")),
            bound(each.get("metric_interval_upper_bound")),
        )
        for each in values.get("step_adjustment") or []
    )
    cooldown = values.get("cooldown")
    return StepScaling(
        name, alarms, steps, values.get("adjustment_type") or "ChangeInCapacity",
        300.0 if cooldown is None else float(cooldown), int(values.get("min_adjustment_magnitude") or 1),
    )  # fmt: skip


def _alarm(values: dict[str, Any]) -> Alarm:
    metric = ALARM_METRICS.get((values.get("metric_name") or "", values.get("statistic") or ""))
    if metric is None:
        raise KennelError(
            f"The alarm {values['alarm_name']} watches a metric that the simulation knows: "
            + ", ".join(f"{statistic} of {name}" for name, statistic in ALARM_METRICS) + ".",
            f"{values.get('statistic')} of {values.get('metric_name')}",
        )  # fmt: skip
    count = int(values["evaluation_periods"])
    return Alarm(
        values["alarm_name"], metric, values["comparison_operator"], float(values["threshold"]), int(values["period"]),
        count, int(values.get("datapoints_to_alarm") or count), values.get("treat_missing_data") or "missing",
        values.get("statistic") or "Average",
    )  # fmt: skip


def _scheduled(values: dict[str, Any]) -> ScheduledAction:
    action = (values.get("scalable_target_action") or [{}])[0]
    least, most = action.get("min_capacity"), action.get("max_capacity")
    try:
        return ScheduledAction(
            values["name"], values["schedule"],
            None if least in (None, "") else int(least), None if most in (None, "") else int(most),
            values.get("timezone") or "UTC",
        )  # fmt: skip
    except ScalingError as error:
        raise KennelError("The plan's scheduled actions can be read.", error) from error
