"""The live endpoint: the configuration that it runs, how many instances it wants, and the archive that it serves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ops.live import is_gone
from ops.stage import Stage

CONFIGURATION = "aws_sagemaker_endpoint_configuration"
STACK = "aws_cloudformation_stack"  # of an endpoint that scales to zero: the configuration is in it


@dataclass(frozen=True)
class Fleet:
    """An endpoint as it is now."""

    endpoint: str
    config: str
    status: str
    reason: str | None  # why the last update did not succeed
    wanted: int  # instances
    instance_type: str | None = None


def look(stage: Stage, endpoint: str | None) -> Fleet | None:
    """Return the endpoint; None where there is none."""
    if endpoint is None:
        return None
    client = stage.client("sagemaker")
    try:
        described = client.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if is_gone(error):
            return None
        raise
    variants = described.get("ProductionVariants") or [{}]
    try:
        config = client.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    except ClientError as error:
        if not is_gone(error):
            raise
        config = {}
    return Fleet(
        endpoint,
        described["EndpointConfigName"],
        described["EndpointStatus"],
        described.get("FailureReason"),
        variants[0].get("DesiredInstanceCount", 0),
        (config.get("ProductionVariants") or [{}])[0].get("InstanceType"),
    )


def served_digest(stage: Stage, fleet: Fleet) -> str | None:
    """Return the SHA-256 of the archive that the endpoint serves; None where its address has none."""
    client = stage.client("sagemaker")
    try:
        config = client.describe_endpoint_config(EndpointConfigName=fleet.config)
        names = [variant["ModelName"] for variant in config["ProductionVariants"] if "ModelName" in variant]
        names = names or component_models(client, fleet.endpoint)
        if not names:
            return None
        model = client.describe_model(ModelName=names[0])
    except ClientError as error:
        if is_gone(error):
            return None
        raise
    found = re.search(r"/([0-9a-f]{64})/", model["PrimaryContainer"].get("ModelDataUrl", ""))
    return found[1] if found else None


def component_models(client: Any, endpoint: str) -> list[str]:
    """Return the models of the endpoint's inference components."""
    found = client.list_inference_components(EndpointNameEquals=endpoint)["InferenceComponents"]
    described = (
        client.describe_inference_component(InferenceComponentName=one["InferenceComponentName"])
        for one in found
    )
    return [one["Specification"]["ModelName"] for one in described if "ModelName" in one["Specification"]]


def recorded_config(state: dict[str, Any]) -> str | None:
    """Return the configuration that Terraform's state has for the endpoint, whether it runs it or not."""
    for resource in state.get("resources", []):
        for instance in resource["instances"]:
            if resource["type"] == CONFIGURATION and "deposed" not in instance:
                return str(instance["attributes"]["name"])
            if resource["type"] == STACK and instance["attributes"].get("outputs"):
                return str(instance["attributes"]["outputs"]["EndpointConfigName"])
    return None
