"""What CloudWatch Logs and CloudWatch know about invocations."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


def test_an_invocation_is_logged_between_start_and_report(aws: Any) -> None:
    name = aws.deploy("print('loading')\ndef handler(event, context):\n    print('two\\nlines')\n")
    answer = aws.invoke(name)
    request_id = answer.raw["ResponseMetadata"]["RequestId"]
    init, *rest, report = aws.logged(f"/aws/lambda/{name}")
    assert re.match(r"INIT_START Runtime Version: python:3\.12 run by (Python|/)", init)
    assert rest == [
        "loading",
        f"START RequestId: {request_id} Version: $LATEST",
        "two",
        "lines",
        f"END RequestId: {request_id}",
    ]
    assert re.fullmatch(
        rf"REPORT RequestId: {request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t",
        report,
    )
    assert answer.log == [*rest[1:], report]
    assert "Init Duration" not in aws.invoke(name).log[-1]


def test_the_tail_is_the_last_four_kilobytes(aws: Any) -> None:
    name = aws.deploy(
        "def handler(event, context):\n    for number in range(2000): print(f'line {number}')\n"
    )
    answer = aws.invoke(name)
    size = sum(len(line) + 1 for line in answer.log)
    assert 4000 < size <= 4096
    assert "line 1999" in answer.log


def test_a_line_without_an_end_is_not_lost(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    print('no end', end='')\n")
    assert "no end" in aws.invoke(name).log


def test_output_without_end_does_not_fill_the_memory(aws: Any) -> None:
    name = aws.deploy(
        "def handler(event, context):\n    for _ in range(200): print('x' * 100_000)\n", Timeout=30
    )
    aws.invoke(name)
    stored = sum(map(len, aws.logged(f"/aws/lambda/{name}")))
    assert 3_000_000 < stored < 5_000_000


def test_a_function_can_log_json_to_a_group_of_its_choice(aws: Any) -> None:
    name = aws.deploy(
        "import logging\ndef handler(event, context):\n"
        "    logging.getLogger().info('quiet')\n    logging.getLogger().warning('loud')\n",
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "/json"},
    )
    aws.invoke(name)
    events = [json.loads(line) for line in aws.logged("/json")]
    assert [event.get("type") or event["message"] for event in events] == [
        "platform.initStart",
        "platform.start",
        "loud",
        "platform.report",
    ]
    assert events[-1]["record"]["status"] == "success"
    assert aws.logged(f"/aws/lambda/{name}") == []


def statistic(aws: Any, name: str, metric: str, *more: dict[str, str]) -> dict[str, Any]:
    now = datetime.now(UTC)
    answer = aws.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": stat.lower(),
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Lambda",
                        "MetricName": metric,
                        "Dimensions": [{"Name": "FunctionName", "Value": name}, *more],
                    },
                    "Period": 3600,
                    "Stat": stat,
                },
            }
            for stat in ("Sum", "SampleCount", "Maximum")
        ],
        StartTime=now - timedelta(minutes=30),
        EndTime=now + timedelta(minutes=1),
    )
    return {found["Id"]: sum(found["Values"]) for found in answer["MetricDataResults"]}


def test_metrics_count_calls_errors_and_throttles(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    return 1 / event\n")
    for event in (1, 2, 0):
        aws.invoke(name, event)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(aws.functions.exceptions.TooManyRequestsException):
        aws.invoke(name, 1)
    assert statistic(aws, name, "Invocations")["sum"] == 3
    assert statistic(aws, name, "Errors") == {"sum": 1, "samplecount": 3, "maximum": 1}
    assert statistic(aws, name, "Throttles")["sum"] == 1
    assert statistic(aws, name, "Duration")["samplecount"] == 3
    assert statistic(aws, name, "ConcurrentExecutions")["maximum"] == 1


def test_metrics_of_an_alias_are_told_apart(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    pass\n", Publish=True)
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    aws.invoke(name)
    aws.invoke(name, Qualifier="live")
    assert statistic(aws, name, "Invocations")["sum"] == 2
    assert statistic(aws, name, "Invocations", {"Name": "Resource", "Value": f"{name}:live"})["sum"] == 1
