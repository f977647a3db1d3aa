"""Holds scaling still while an update begins: a scale-out between the plan's count and UpdateEndpoint would be lost.

SageMaker blocks scaling during the update itself, but not in the seconds before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ops import files
from ops.stage import Stage

NAMESPACE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
KINDS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


def resource_id(outputs: dict[str, Any]) -> str:
    return f"endpoint/{outputs['endpoint_name']}/variant/{outputs['endpoint_variant']}"


def target(stage: Stage, resource: str) -> dict[str, Any] | None:
    """Return the scalable target as Application Auto Scaling describes it."""
    found = stage.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=NAMESPACE, ResourceIds=[resource], ScalableDimension=DIMENSION
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


def deregister(stage: Stage, resource: str) -> None:
    """Take the variant out of scaling, with its policies."""
    if target(stage, resource) is not None:
        stage.client("application-autoscaling").deregister_scalable_target(
            ServiceNamespace=NAMESPACE, ResourceId=resource, ScalableDimension=DIMENSION
        )


def _suspend(stage: Stage, resource: str, state: dict[str, bool]) -> None:
    stage.client("application-autoscaling").register_scalable_target(
        ServiceNamespace=NAMESPACE, ResourceId=resource, ScalableDimension=DIMENSION, SuspendedState=state
    )


def _record(stage: Stage) -> Any:
    return stage.directory / "scaling.held.json"
