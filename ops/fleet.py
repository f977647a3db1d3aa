"""The live endpoint: the configuration that it runs, how many instances it wants, and the archive that it serves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ops.live import is_gone
from ops.stage import Stage

CONFIGURATION = "aws_sagemaker_endpoint_configuration"


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
        model = client.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    except ClientError as error:
        if is_gone(error):
            return None
        raise
    found = re.search(r"/([0-9a-f]{64})/", model["PrimaryContainer"].get("ModelDataUrl", ""))
    return found[1] if found else None


def recorded_config(state: dict[str, Any]) -> str | None:
    """Return the configuration that Terraform's state has for the endpoint, whether it runs it or not."""
    for resource in state.get("resources", []):
        if resource["type"] == CONFIGURATION:
            for instance in resource["instances"]:
                if "deposed" not in instance:
                    return str(instance["attributes"]["name"])
    return None
