"""What CreateInferenceComponent and its like take: AWS's rules beyond the shapes, and what is not implemented here."""

from __future__ import annotations

from typing import Any

from moto.sagemaker.exceptions import ValidationError

from localcloud.sagemaker.jobs import members, shapes

_NOT_IMPLEMENTED = (
    "Specifications",
    "DeploymentConfig",
    "Specification.InstanceType",
    "Specification.BaseInferenceComponentName",
    "Specification.DataCacheConfig",
    "Specification.SchedulingConfig",
)


def check(operation: str, request: dict[str, Any]) -> None:
    shapes.check(operation, request)
    members.refuse(operation, request, _NOT_IMPLEMENTED)
    specification = request.get("Specification")
    if specification is None:
        return
    if bool(specification.get("ModelName")) == bool(specification.get("Container")):
        raise ValidationError("Exactly one of ModelName and Container must be specified in Specification.")
    if not specification.get("ComputeResourceRequirements"):
        raise ValidationError(
            "ComputeResourceRequirements must be specified for an inference component without a base one."
        )


def check_variant(variant: dict[str, Any], request: dict[str, Any]) -> None:
    """Of an endpoint configuration: one that takes inference components names no model."""
    name = variant["VariantName"]
    if not request.get("ExecutionRoleArn"):
        raise ValidationError(
            f"ExecutionRoleArn is required for the endpoint configuration, because variant {name} has no ModelName."
        )
    for needed in ("InstanceType", "InitialInstanceCount"):
        if variant.get(needed) is None:
            raise ValidationError(f"{needed} is required for variant {name}, which has no ModelName.")
    scaling = variant.get("ManagedInstanceScaling") or {}
    if scaling.get("Status") == "ENABLED":
        least, most = scaling.get("MinInstanceCount", 1), scaling.get("MaxInstanceCount")
        if most is not None and least > most:
            raise ValidationError(
                f"MinInstanceCount ({least}) must be less than or equal to MaxInstanceCount ({most})."
            )
    elif scaling.get("MinInstanceCount") == 0:
        raise ValidationError("MinInstanceCount 0 needs ManagedInstanceScaling with Status ENABLED.")
