"""Holds scaling still while an update begins: a scale-out between the plan's count and UpdateEndpoint would be lost.

SageMaker blocks scaling during the update itself, but not in the seconds before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ops import files
from ops.stage import Stage

NAMESPACE = "sagemaker"
KINDS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
# What is put again as it was described.
POLICY = (
    "PolicyName",
    "PolicyType",
    "TargetTrackingScalingPolicyConfiguration",
    "StepScalingPolicyConfiguration",
)
SCHEDULED = ("ScheduledActionName", "Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")


def resource_id(outputs: dict[str, Any]) -> str:
    """Return what scales: the endpoint's variant or, where that may go down to zero, its inference component."""
    if component := outputs.get("inference_component_name"):
        return f"inference-component/{component}"
    return f"endpoint/{outputs['endpoint_name']}/variant/{outputs['endpoint_variant']}"


def dimension(resource: str) -> str:
    of_copies = resource.startswith("inference-component/")
    return (
        "sagemaker:inference-component:DesiredCopyCount"
        if of_copies
        else "sagemaker:variant:DesiredInstanceCount"
    )


def target(stage: Stage, resource: str) -> dict[str, Any] | None:
    """Return the scalable target as Application Auto Scaling describes it."""
    found = stage.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=NAMESPACE, ResourceIds=[resource], ScalableDimension=dimension(resource)
    )["ScalableTargets"]
    return found[0] if found else None


@contextmanager
def held(stage: Stage, resource: str) -> Iterator[None]:
    """Suspend scaling, and give it back as it was; `resume` does so after a kill."""
    found = target(stage, resource)
    if found is None:
        yield
        return
    before = {kind: bool((found.get("SuspendedState") or {}).get(kind)) for kind in KINDS}
    files.write_json(_record(stage), {"identity": stage.identity, "resource": resource, "suspended": before})
    _suspend(stage, resource, dict.fromkeys(KINDS, True))
    try:
        yield
    finally:
        resume(stage)


def resume(stage: Stage) -> bool:
    """Give scaling back as a task found it that held it still; return whether there was anything to do."""
    record = files.read_json(_record(stage))
    if record is None:
        return False
    if record["identity"] == stage.identity and target(stage, record["resource"]) is not None:
        _suspend(stage, record["resource"], record["suspended"])
    _record(stage).unlink(missing_ok=True)
    return True


@contextmanager
def away(stage: Stage, resource: str) -> Iterator[None]:
    """Take the variant out of scaling, with its policies and schedule; where the block fails, they come back.

    Alarms of our own keep the old policies' ARNs: step scaling waits for the next apply then.
    """
    found = target(stage, resource)
    if found is None:
        yield
        return
    client = stage.client("application-autoscaling")
    where = {"ServiceNamespace": NAMESPACE, "ResourceId": resource, "ScalableDimension": dimension(resource)}
    policies = client.describe_scaling_policies(**where)["ScalingPolicies"]
    actions = client.describe_scheduled_actions(**where)["ScheduledActions"]
    client.deregister_scalable_target(**where)
    try:
        yield
    except BaseException:
        if target(stage, resource) is None:  # Terraform did not come to it
            client.register_scalable_target(**where, **_of(found, "MinCapacity", "MaxCapacity"))
            for policy in policies:
                client.put_scaling_policy(**where, **_of(policy, *POLICY))
            for action in actions:
                client.put_scheduled_action(**where, **_of(action, *SCHEDULED))
        raise


def _of(described: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: described[name] for name in names if described.get(name) is not None}


def _suspend(stage: Stage, resource: str, state: dict[str, bool]) -> None:
    stage.client("application-autoscaling").register_scalable_target(
        ServiceNamespace=NAMESPACE,
        ResourceId=resource,
        ScalableDimension=dimension(resource),
        SuspendedState=state,
    )


def _record(stage: Stage) -> Any:
    return stage.directory / "scaling.held.json"
