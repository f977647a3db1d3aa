"""Metrics of the endpoint and the function, all in one GetMetricData request."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops.console.cloud import Cloud

REFRESH_SECONDS = 15.0
USD_PER_METRIC = (
    0.01 / 1000
)  # GetMetricData, us-east-1, 2026; statistics of one metric count once, up to five
WINDOWS = {30: 60, 180: 60, 1440: 300}  # minutes shown: seconds of a point


@dataclass(frozen=True)
class Query:
    id: str
    namespace: str
    metric: str
    stat: str
    scale: float = 1.0  # of AWS's value to the shown one


_ENDPOINT = (
    Query("invocations", "AWS/SageMaker", "Invocations", "Sum"),
    Query("per_instance", "AWS/SageMaker", "InvocationsPerInstance", "Sum"),
    Query("latency_p50", "AWS/SageMaker", "ModelLatency", "p50", 1e-3),  # AWS: microseconds
    Query("latency_p99", "AWS/SageMaker", "ModelLatency", "p99", 1e-3),
    Query("latency_mean", "AWS/SageMaker", "ModelLatency", "Average", 1e-3),
    Query("overhead_mean", "AWS/SageMaker", "OverheadLatency", "Average", 1e-3),
    Query("concurrent", "AWS/SageMaker", "ConcurrentRequestsPerModel", "Maximum"),
    Query("errors_4xx", "AWS/SageMaker", "Invocation4XXErrors", "Sum"),
    Query("errors_5xx", "AWS/SageMaker", "Invocation5XXErrors", "Sum"),
)
_FUNCTION = (
    Query("calls", "AWS/Lambda", "Invocations", "Sum"),
    Query("function_errors", "AWS/Lambda", "Errors", "Sum"),
    Query("throttles", "AWS/Lambda", "Throttles", "Sum"),
    Query("function_concurrent", "AWS/Lambda", "ConcurrentExecutions", "Maximum"),
    Query("duration_p99", "AWS/Lambda", "Duration", "p99"),
)
_PER_MINUTE = {"Sum"}


def traffic(cloud: Cloud, minutes: int) -> dict[str, Any]:
    """Return each metric's points as [seconds, value]; sums are per minute whatever the period."""
    outputs = cloud.outputs
    period = WINDOWS[minutes]
    queries = _queries(outputs)
    end = math.ceil(time.time() / period) * period
    start = end - minutes * 60
    answer: dict[str, Any] = {
        "start": start,
        "end": end,
        "period": period,
        "series": {},
        "usd_per_hour": len(queries) * USD_PER_METRIC * 3600 / REFRESH_SECONDS,
    }
    if not queries:
        return answer
    asked = [
        {
            "Id": query.id,
            "MetricStat": {
                "Metric": {
                    "Namespace": query.namespace,
                    "MetricName": query.metric,
                    "Dimensions": dimensions,
                },
                "Period": period,
                "Stat": query.stat,
            },
        }
        for query, dimensions in queries
    ]
    by_id = {query.id: query for query, _ in queries}
    for name, points in read(cloud, asked, start, end).items():
        query = by_id[name]
        factor = query.scale * (60 / period if query.stat in _PER_MINUTE else 1)
        answer["series"][name] = [[at, value * factor] for at, value in points]
    return answer


def read(
    cloud: Cloud, queries: list[dict[str, Any]], start: float, end: float
) -> dict[str, list[list[float]]]:
    """Return the points of each query, the oldest first; pages are followed."""
    client = cloud.client("cloudwatch")
    found: dict[str, list[list[float]]] = {}
    request = {
        "MetricDataQueries": queries,
        "StartTime": datetime.fromtimestamp(start, UTC),
        "EndTime": datetime.fromtimestamp(end, UTC),
        "ScanBy": "TimestampAscending",
    }
    while True:
        page = client.get_metric_data(**request)
        for result in page["MetricDataResults"]:
            points = zip(result.get("Timestamps", []), result.get("Values", []), strict=False)
            found.setdefault(result["Id"], []).extend([at.timestamp(), value] for at, value in points)
        if not page.get("NextToken"):
            return found
        request["NextToken"] = page["NextToken"]


def _queries(outputs: dict[str, Any]) -> list[tuple[Query, list[dict[str, str]]]]:
    queries: list[tuple[Query, list[dict[str, str]]]] = []
    if outputs.get("endpoint_name") and outputs.get("endpoint_variant"):
        variant = [
            {"Name": "EndpointName", "Value": outputs["endpoint_name"]},
            {"Name": "VariantName", "Value": outputs["endpoint_variant"]},
        ]
        queries += [(query, variant) for query in _ENDPOINT]
    if outputs.get("lambda_function_name"):
        function = [{"Name": "FunctionName", "Value": outputs["lambda_function_name"]}]
        queries += [(query, function) for query in _FUNCTION]
    return queries
