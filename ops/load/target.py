"""Where the requests of a load go, and what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ml.errors import KennelError
from ops.load.options import Where
from ops.stage import Stage


@dataclass(frozen=True)
class Target:
    """An address that takes signed POSTs."""

    on: Where
    name: str
    url: str
    signing_name: str
    region: str
    headers: dict[str, str]

    @property
    def service(self) -> str:
        return "lambda" if self.on == "lambda" else "sagemaker"


@dataclass(frozen=True)
class Instances:
    """What the endpoint has behind it."""

    type: str | None  # None where it is serverless
    count: int
    most: int  # that scaling may bring


def target(stage: Stage, outputs: dict[str, Any], on: Where) -> Target:
    """The deployed endpoint or function.

    Raises:
        KennelError: it is not deployed.
    """
    what, output = ("endpoint", "endpoint_name") if on == "endpoint" else ("function", "lambda_function_name")
    for needed in {output, "endpoint_name"}:
        if not outputs.get(needed):
            raise KennelError(
                f"A load needs a deployed {what if needed == output else 'endpoint'}.",
                f"none in the stage {stage.name}",
                "./inv up, or ./inv train and apply.",
            )
    client = stage.client("sagemaker-runtime" if on == "endpoint" else "lambda")
    name = str(outputs[output])
    if on == "endpoint":
        path, headers = f"/endpoints/{quote(name)}/invocations", {"Accept": "application/json"}
    else:
        alias = quote(str(outputs["lambda_alias"]))
        path, headers = f"/2015-03-31/functions/{quote(name)}/invocations?Qualifier={alias}", {}
    meta = client.meta
    return Target(
        on,
        name,
        meta.endpoint_url.rstrip("/") + path,
        meta.service_model.signing_name,
        meta.region_name,
        headers,
    )


def instances(stage: Stage, outputs: dict[str, Any]) -> Instances:
    """How many serve now, of what type, and how many may come.

    Raises:
        KennelError: the endpoint is not in service.
    """
    client = stage.client("sagemaker")
    endpoint = client.describe_endpoint(EndpointName=outputs["endpoint_name"])
    if endpoint["EndpointStatus"] != "InService":
        raise KennelError(
            "A load needs an endpoint in service.",
            f"{outputs['endpoint_name']} is {endpoint['EndpointStatus']}",
            "./inv status tells more; wait, or correct the cause.",
        )
    config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    variants = endpoint["ProductionVariants"]
    count = sum(variant.get("CurrentInstanceCount", 0) for variant in variants)
    scaling = outputs.get("autoscaling")
    return Instances(
        config["ProductionVariants"][0].get("InstanceType"),
        count,
        max(count, scaling["max"] if scaling else count),
    )
