"""The AWS/Lambda metrics of invocations."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.metrics import Metrics

NAMESPACE = "AWS/Lambda"


def invoked(
    function: tuple[str, str, str],
    qualifier: str | None,
    *,
    failed: bool,
    milliseconds: float,
    concurrency: int,
) -> None:
    """`concurrency`: invocations of the function that ran at once, this one included."""
    values = {
        "Invocations": (1.0, "Count"),
        "Errors": (float(failed), "Count"),
        "Throttles": (0.0, "Count"),
        "Duration": (milliseconds, "Milliseconds"),
        "ConcurrentExecutions": (float(concurrency), "Count"),
    }
    _record(function, qualifier, values)


def throttled(function: tuple[str, str, str], qualifier: str | None) -> None:
    _record(function, qualifier, {"Throttles": (1.0, "Count")})


def undelivered(function: tuple[str, str, str]) -> None:
    _record(function, None, {"DestinationDeliveryErrors": (1.0, "Count")})


def _record(
    function: tuple[str, str, str], qualifier: str | None, values: Mapping[str, tuple[float, str]]
) -> None:
    account_id, region, name = function
    dimensions = {"FunctionName": name}
    Metrics.record(account_id, region, NAMESPACE, dimensions, values)
    if qualifier is not None:
        resource = {**dimensions, "Resource": f"{name}:{qualifier}"}
        Metrics.record(account_id, region, NAMESPACE, resource, values)
