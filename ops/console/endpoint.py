"""The endpoint, and its instances, as AWS describes them."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from ops.console.cloud import Cloud
from ops.live import is_gone
from ops.review.redact import scrub

SAMPLES = 2000  # of instance counts: hours of an open page


class Instances:
    """Instance counts as they were seen: AWS keeps no metric of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[list[float]] = deque(maxlen=SAMPLES)

    def saw(self, current: int, desired: int, now: float) -> list[list[float]]:
        """Add a sample, as [seconds, current, desired]; of a run of equal ones, the first and the last are kept."""
        with self._lock:
            samples = self._samples
            same = len(samples) > 1 and samples[-1][1:] == samples[-2][1:] == [current, desired]
            if same:
                samples.pop()
            samples.append([now, current, desired])
            return list(samples)


def endpoint(cloud: Cloud, instances: Instances) -> dict[str, Any] | None:
    """Describe the endpoint; None when the stage has none."""
    outputs = cloud.outputs
    name = outputs.get("endpoint_name")
    if not name:
        return None
    sagemaker = cloud.client("sagemaker")
    try:
        found = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_gone(error):
            return {"name": name, "status": "Gone", "variants": [], "instances": []}
        raise
    variants = found.get("ProductionVariants", [])
    config = str(found["EndpointConfigName"])
    return {
        "name": name,
        "status": found["EndpointStatus"],
        "reason": scrub(found.get("FailureReason") or "") or None,
        "config": config,
        "rolled_back": found["EndpointStatus"] == "InService"
        and outputs.get("endpoint_config_name") not in (None, config),
        "planned_config": outputs.get("endpoint_config_name"),
        "modified": seconds(found.get("LastModifiedTime")),
        "model": outputs.get("model"),
        "types": _types(sagemaker, config),
        "variants": [
            {
                "name": variant["VariantName"],
                "current": variant.get("CurrentInstanceCount", 0),
                "desired": variant.get("DesiredInstanceCount", 0),
                "weight": variant.get("CurrentWeight"),
            }
            for variant in variants
        ],
        "instances": instances.saw(
            sum(variant.get("CurrentInstanceCount", 0) for variant in variants),
            sum(variant.get("DesiredInstanceCount", 0) for variant in variants),
            time.time(),
        ),
    }


def _types(sagemaker: Any, config: str) -> list[str]:
    try:
        found = sagemaker.describe_endpoint_config(EndpointConfigName=config)
    except ClientError:
        return []  # a detail: the rest of the panel stands without it
    return sorted(
        {variant["InstanceType"] for variant in found["ProductionVariants"] if "InstanceType" in variant}
    )


def seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
