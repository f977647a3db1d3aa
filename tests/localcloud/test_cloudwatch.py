from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def watch(fast: Callable[[str], Any]) -> Any:
    """Where a minute of alarms lasts a second."""
    return fast("cloudwatch")


@pytest.fixture
def cloudwatch(client: Callable[[str], Any]) -> Any:
    return client("cloudwatch")


NOON = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


def put(cloudwatch: Any, name: str, *data: tuple[float, float], resolution: int = 60) -> None:
    """Seconds after NOON, and values."""
    cloudwatch.put_metric_data(
        Namespace="Own",
        MetricData=[
            {
                "MetricName": name,
                "Value": value,
                "Timestamp": NOON + timedelta(seconds=at),
                "StorageResolution": resolution,
            }
            for at, value in data
        ],
    )


def read(cloudwatch: Any, name: str, period: int, *statistics: str) -> list[dict[str, Any]]:
    given = {
        "Statistics": [one for one in statistics if not one.startswith("p")],
        "ExtendedStatistics": [one for one in statistics if one.startswith("p")],
    }
    answer = cloudwatch.get_metric_statistics(
        Namespace="Own",
        MetricName=name,
        StartTime=NOON,
        EndTime=NOON + timedelta(minutes=20),
        Period=period,
        **{name: names for name, names in given.items() if names},
    )
    return sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])


def test_values_are_summed_up_by_period(cloudwatch: Any) -> None:
    put(cloudwatch, "sums", (0, 1), (59, 2), (60, 10), (250, 4))
    minutes = read(cloudwatch, "sums", 60, "Sum", "SampleCount", "Average", "Minimum", "Maximum")
    assert [(point["Timestamp"] - NOON).total_seconds() for point in minutes] == [0, 60, 240]
    assert {name: minutes[0][name] for name in ("Sum", "SampleCount", "Average", "Minimum", "Maximum")} == {
        "Sum": 3,
        "SampleCount": 2,
        "Average": 1.5,
        "Minimum": 1,
        "Maximum": 2,
    }
    assert [point["Sum"] for point in read(cloudwatch, "sums", 120, "Sum")] == [13, 4]


@pytest.mark.parametrize(("resolution", "sums"), [(1, [1, 2, 4]), (60, [7])])
def test_only_high_resolution_is_told_apart_by_ten_seconds(
    cloudwatch: Any, resolution: int, sums: list[float]
) -> None:
    name = f"resolution-{resolution}"
    put(cloudwatch, name, (0, 1), (12, 2), (35, 4), resolution=resolution)
    assert [point["Sum"] for point in read(cloudwatch, name, 10, "Sum")] == sums


def test_percentiles_come_from_how_the_values_are_spread(cloudwatch: Any) -> None:
    put(cloudwatch, "spread", *[(1, float(value)) for value in range(1, 1001)])
    found = read(cloudwatch, "spread", 60, "p50", "p99", "p100", "p0")[0]["ExtendedStatistics"]
    assert found == pytest.approx({"p50": 500, "p99": 990, "p100": 1000, "p0": 1}, rel=0.01)


def test_of_a_statistic_set_no_percentile_is_made_up(cloudwatch: Any) -> None:
    values = {"SampleCount": 10.0, "Sum": 50.0, "Minimum": 1.0, "Maximum": 9.0}
    cloudwatch.put_metric_data(
        Namespace="Own",
        MetricData=[{"MetricName": "set", "StatisticValues": values, "Timestamp": NOON}],
    )
    found = read(cloudwatch, "set", 60, "Average", "p50")[0]
    assert (found["Average"], "ExtendedStatistics" in found) == (5, False)


def query(name: str, statistic: str) -> dict[str, Any]:
    """What an expression reads of a metric."""
    metric = {"Namespace": "Own", "MetricName": name}
    return {
        "Id": name,
        "ReturnData": False,
        "MetricStat": {"Metric": metric, "Period": 60, "Stat": statistic},
    }


def test_queries_are_computed_with_arithmetic_and_filled_gaps(cloudwatch: Any) -> None:
    put(cloudwatch, "all", (0, 5), (60, 7))
    put(cloudwatch, "less", (60, 3))
    queries = [
        query("all", "Sum"),
        query("less", "Sum"),
        {"Id": "rest", "Expression": "(all - FILL(less, 0)) * 2"},
    ]
    span = {"StartTime": NOON, "EndTime": NOON + timedelta(minutes=5)}
    answer = cloudwatch.get_metric_data(MetricDataQueries=queries, ScanBy="TimestampAscending", **span)
    assert [(one["Id"], one["Values"]) for one in answer["MetricDataResults"]] == [("rest", [10, 8])]
    queries[-1]["Expression"] = "ANOMALY_DETECTION_BAND(all)"
    with pytest.raises(ClientError, match="metric math") as caught:
        cloudwatch.get_metric_data(MetricDataQueries=queries, **span)
    assert caught.value.response["Error"]["Code"] == "NotImplemented"


def test_metrics_are_listed_once(cloudwatch: Any) -> None:
    put(cloudwatch, "listed", (0, 1), (100, 1))
    assert len(cloudwatch.list_metrics(Namespace="Own", MetricName="listed")["Metrics"]) == 1


# Alarms


def alarm(watch: Any, name: str, **change: Any) -> None:
    """`change`: None for what is not to be given."""
    request = {
        "AlarmName": name,
        "Namespace": "Own",
        "MetricName": name,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 3,
        "EvaluationPeriods": 2,
        "Period": 60,
        "Statistic": "Maximum",
        **change,
    }
    watch.put_metric_alarm(**{key: value for key, value in request.items() if value is not None})


def described(watch: Any, name: str) -> dict[str, Any]:
    found = watch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return dict((found["MetricAlarms"] + found["CompositeAlarms"])[0])


def until(
    watch: Any, name: str, state: str, feed: Callable[[], object] = lambda: None, seconds: float = 30
) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (seen := described(watch, name))["StateValue"] != state:
        assert time.monotonic() < deadline, f"last seen: {seen}"
        feed()
        time.sleep(0.1)
    return seen


def test_an_alarm_goes_off_and_calms_down_with_its_metric(watch: Any) -> None:
    def feed(value: float) -> Callable[[], object]:
        return lambda: watch.put_metric_data(
            Namespace="Own", MetricData=[{"MetricName": "load", "Value": value}]
        )

    alarm(watch, "load")
    assert described(watch, "load")["StateReason"] == "Unchecked: Initial alarm creation"
    assert described(watch, "load")["StateValue"] == "INSUFFICIENT_DATA"
    until(watch, "load", "OK", feed(1))
    said = until(watch, "load", "ALARM", feed(5))
    assert said["StateReason"].startswith("Threshold Crossed: 2 out of the last 2 datapoints [5.0 (")
    assert said["StateReason"].endswith(
        ")] were greater than the threshold (3.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert json.loads(said["StateReasonData"])["recentDatapoints"] == [5.0, 5.0]
    until(watch, "load", "INSUFFICIENT_DATA")
    items = watch.describe_alarm_history(AlarmName="load", ScanBy="TimestampAscending")["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in items] == [
        'Alarm "load" created',
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        *[item["HistorySummary"] for item in items[3:-1]],
        items[-1]["HistorySummary"],
    ]
    assert items[-1]["HistorySummary"].endswith("to INSUFFICIENT_DATA")
    assert json.loads(items[2]["HistoryData"])["newState"]["stateValue"] == "ALARM"


@pytest.mark.parametrize(
    ("missing", "state", "reason"),
    [
        ("breaching", "ALARM", "2 missing datapoints were treated as [Breaching]."),
        ("notBreaching", "OK", "2 missing datapoints were treated as [NonBreaching]."),
    ],
)
def test_missing_data_is_what_the_alarm_says_of_it(watch: Any, missing: str, state: str, reason: str) -> None:
    alarm(watch, missing, TreatMissingData=missing)
    assert until(watch, missing, state)["StateReason"].endswith(reason)


def test_an_alarm_may_watch_a_difference(watch: Any) -> None:
    watch.put_metric_alarm(
        AlarmName="difference",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=2,
        EvaluationPeriods=1,
        Metrics=[
            query("more", "Maximum"),
            query("fewer", "Maximum"),
            {"Id": "d", "Expression": "more - FILL(fewer, 0)"},
        ],
    )
    data = [{"MetricName": "more", "Value": 5.0}, {"MetricName": "fewer", "Value": 2.0}]
    until(watch, "difference", "ALARM", lambda: watch.put_metric_data(Namespace="Own", MetricData=data))


def test_a_composite_alarm_follows_its_rule(watch: Any) -> None:
    alarm(watch, "first", TreatMissingData="breaching")
    alarm(watch, "second", TreatMissingData="notBreaching")
    rule = 'ALARM("first") AND NOT (ALARM(second) OR FALSE)'
    watch.put_composite_alarm(AlarmName="both", AlarmRule=rule)
    until(watch, "both", "ALARM")
    watch.delete_alarms(AlarmNames=["first"])
    until(watch, "both", "OK")
    with pytest.raises(ClientError, match="AlarmRule must be valid"):
        watch.put_composite_alarm(AlarmName="both", AlarmRule="ALARM(first) second")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"DatapointsToAlarm": 3}, "ValidationError", "DatapointsToAlarm must be less than or equal to"),
        ({"Period": 40}, "ValidationError", "Period must be 10, 20, 30 or a multiple of 60."),
        ({"Period": 1}, "NotImplemented", "alarms with periods below 10 s"),
        ({"Period": 3600, "EvaluationPeriods": 4}, "NotImplemented", "further back than 3 hours"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "NotImplemented", "GreaterThanUpperThreshold"),
        ({"Statistic": None, "ExtendedStatistic": "tm90"}, "NotImplemented", "the statistic tm90"),
    ],
)
def test_an_alarm_that_would_not_be_evaluated_is_refused(
    cloudwatch: Any, change: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        alarm(cloudwatch, "refused", **change)
    assert caught.value.response["Error"]["Code"] == code
    assert message in caught.value.response["Error"]["Message"]
