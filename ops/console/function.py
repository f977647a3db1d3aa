"""The function, and what it answers about a photo."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import predict
from ops.console.cloud import Cloud
from ops.live import is_gone

_TIMES = ("total_ms", "fetch_ms", "endpoint_ms")


def function(cloud: Cloud) -> dict[str, Any] | None:
    """Describe the function; None where the stage has none."""
    outputs = cloud.outputs
    name = outputs.get("lambda_function_name")
    if not name:
        return None
    client, alias = cloud.client("lambda"), outputs["lambda_alias"]
    found = client.get_function_configuration(FunctionName=name, Qualifier=alias)
    return {
        "name": name,
        "alias": alias,
        "version": found["Version"],
        "state": found.get("State", "Active"),
        "memory_mb": found.get("MemorySize"),
        "timeout_seconds": found.get("Timeout"),
        "reserved": client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions"),
        "provisioned": _provisioned(client, name, alias),
        "url": outputs.get("lambda_function_url"),
    }


def _provisioned(client: Any, name: str, alias: str) -> dict[str, Any] | None:
    try:
        found = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=alias)
    except ClientError as error:
        if is_gone(error):
            return None
        raise
    return {
        "requested": found.get("RequestedProvisionedConcurrentExecutions"),
        "available": found.get("AvailableProvisionedConcurrentExecutions"),
        "status": found.get("Status"),
    }


def ask(cloud: Cloud, content: dict[str, str]) -> dict[str, Any]:
    """Ask about a photo, `{"image": base64}` or `{"url": …}`; return the answer and how long its parts took.

    Raises:
        KennelError: nothing is deployed, or the function refuses or fails.
    """
    outputs = cloud.outputs
    predict.check_deployed(outputs)
    started = time.perf_counter()
    event = {**content, "top_k": predict.TOP}
    answer, log = predict.called(cloud.client("lambda"), outputs, event, LogType="Tail")
    seconds = time.perf_counter() - started
    if not isinstance(answer, dict) or "top" not in answer:
        raise KennelError(
            "The function answers with names and probabilities.", str(answer)[:200], "./inv apply"
        )
    return {
        "answer": answer,
        "milliseconds": {"round_trip": round(seconds * 1000, 1), **_times(log)},
        "endpoint": outputs["endpoint_name"],
        "variant": _predicted(log).get("variant") or outputs.get("endpoint_variant"),
        "model": (outputs.get("model") or {}).get("name"),
        "cold_start": _predicted(log).get("cold_start"),
    }


def _times(log: str) -> dict[str, float]:
    line = _predicted(log)
    return {
        name.removesuffix("_ms"): line[name] for name in _TIMES if isinstance(line.get(name), int | float)
    }


def _predicted(log: str) -> dict[str, Any]:
    """The line that the function logs about an answer; empty where the log's tail has none."""
    for line in re.findall(r"^\{.*\}$", log, re.MULTILINE):
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if fields.get("message") == "predicted":
            return dict(fields)
    return {}
