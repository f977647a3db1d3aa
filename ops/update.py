"""What a plan does to the endpoint's instances, in numbers and in words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from localcloud.scaling import FAST_METRIC, Assumptions
from ops.fleet import CONFIGURATION, Fleet

COUNT = "initial_instance_count"


@dataclass(frozen=True)
class Update:
    """A move of the endpoint to another configuration."""

    count: int  # instances that it starts with
    live: int | None  # wanted when the plan was made; None: there is no endpoint yet
    types: tuple[str, str]  # of the instances, before and after
    registers_anew: bool  # scaling has to let go of the endpoint first
    lines: tuple[str, ...]  # in words


def of_plan(plan: dict[str, Any], fleet: Fleet | None) -> Update | None:
    """Return the plan's update of the endpoint, or None where its configuration stays."""
    changes = {
        (entry["type"], entry["name"]): entry["change"]
        for entry in plan.get("resource_changes", [])
        if "deposed" not in entry and entry["address"].startswith(("module.endpoint", "module.autoscaling"))
    }
    config = changes.get((CONFIGURATION, "this"))
    if config is None or "create" not in config["actions"]:
        return None
    variant = config["after"]["production_variants"][0]
    before = ((config.get("before") or {}).get("production_variants") or [variant])[0]
    # After an update that was rolled back, what Terraform has for the configuration before is not the one that serves.
    served = (fleet.instance_type if fleet else None) or before["instance_type"]
    types = (served, variant["instance_type"])
    target = changes.get(("aws_appautoscaling_target", "variant"))
    count, live = int(variant[COUNT]), fleet.wanted if fleet else None
    scales = bool(target and target.get("after"))
    lines = [f"Instances: {_count(count, live, _declared(plan), scales=scales)}"]
    anew = fleet is not None and target is not None and types[0] != types[1]
    if types[0] != types[1]:
        lines.append(f"Instance type: {types[0]} → {types[1]}.")
    if anew:
        lines.append(
            "  SageMaker refuses that of a variant that is registered for scaling: apply takes scaling away "
            "first, updates, and puts it back. Nothing scales meanwhile."
        )
    endpoint = changes.get(("aws_sagemaker_endpoint", "this"))
    if fleet is not None and endpoint and "delete" in endpoint["actions"]:
        lines.append("The endpoint is REPLACED, not updated: nobody answers until the new one is in service.")
    elif fleet is not None:
        rollout = (changes.get(("terraform_data", "rollout")) or {}).get("after") or {}
        lines += _traffic(rollout.get("input") or {}, count)
    policy = changes.get(("aws_appautoscaling_policy", "target_tracking"))
    if policy and policy.get("after"):
        lines.append(reaction(policy["after"]["target_tracking_scaling_policy_configuration"][0]))
    return Update(count, live, types, anew, tuple(lines))


def essence(plan: dict[str, Any]) -> str:
    """Return a digest of what the plan changes, whatever the number of instances that it starts with."""
    shown = [
        {"address": entry["address"], "deposed": entry.get("deposed"), **_without_count(entry["change"])}
        for entry in plan.get("resource_changes", [])
        if entry["change"]["actions"] != ["no-op"]
    ]
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def _without_count(change: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps({key: change.get(key) for key in ("actions", "after")}))
    for variant in (plain["after"] or {}).get("production_variants") or []:
        variant.pop(COUNT, None)
    return plain


def _declared(plan: dict[str, Any]) -> int:
    endpoint = plan.get("variables", {}).get("endpoint", {}).get("value") or {}
    return int(endpoint.get("instance_count") or 1)


def _count(count: int, live: int | None, declared: int, *, scales: bool) -> str:
    if live is None:
        return f"{count}."
    if not scales:
        return f"{count} declared, {live} live; nothing scales, so that the declared count holds."
    if count == live:
        return f"{count} kept (live), {declared} declared."
    side = "no more" if count < live else "no fewer"
    return f"{count} ({live} live, {declared} declared): autoscaling's limits allow {side}."


def _traffic(rollout: dict[str, Any], count: int) -> list[str]:
    routing, wait = rollout.get("routing"), rollout.get("wait_seconds")
    if routing == "CANARY":
        percent = rollout["canary_percent"]
        line = f"Traffic: {percent} % of the new fleet first, after {wait} s the rest."
    elif routing == "LINEAR":
        percent = rollout["linear_percent"]
        line = f"Traffic: {percent} % of the new fleet at a time, {wait} s apart."
    else:
        return ["Traffic: to the new fleet all at once."] if routing else []
    if count * percent % 100 == 0:
        return [line]
    told = f"  SageMaker turns whole instances on; of {count}, {percent} % is not, and how it rounds is undocumented."
    return [line, told]


def reaction(policy: dict[str, Any]) -> str:
    """How long scaling out takes, as far as is known of AWS's alarms."""
    known = Assumptions()
    metric = policy["predefined_metric_specification"][0]["predefined_metric_type"]
    fast = metric == FAST_METRIC
    seconds = 10 if fast else 60
    points, delay = (
        (known.fast_high_points, known.fast_metric_delay) if fast else (known.high_points, known.metric_delay)
    )
    decides = points * seconds + delay
    minutes = (decides + seconds + known.start_seconds) / 60
    return (
        f"Scaling out: more instances serve about {minutes:.0f} min after the load has risen "
        f"({decides:.0f} s of alarm, {known.start_seconds:.0f} s of start; assumed), "
        f"whatever the cooldown of {policy['scale_out_cooldown']} s."
    )
