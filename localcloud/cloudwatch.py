"""CloudWatch with metrics that are told apart by period and percentile, and alarms that are evaluated."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from moto.cloudwatch import urls
from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.cloudwatch.models import CloudWatchBackend, MetricDatumBase, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from localcloud import accepted, alarms, composite, gaps, heartbeat
from localcloud.config import Config
from localcloud.metric_math import Expression
from localcloud.metrics import FINE, MINUTE, MetricKey, Metrics, dimensions, dimensions_of
from localcloud.statistics import PLAIN, StatisticSet, is_statistic

gaps.forget_instances(MetricDatumBase)

_ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")


class Backend(CloudWatchBackend):
    """moto's list of single values stays empty: everything is in `Metrics`."""

    def put_metric_data(self, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        for index, datum in enumerate(metric_data):
            self._validate_parameters_put_metric_data(datum, index + 1)
        for datum in metric_data:
            series = (namespace, datum["MetricName"], dimensions(datum), datum.get("Unit") or "None")
            stamp = datum.get("Timestamp")
            resolution = FINE if int(datum.get("StorageResolution") or MINUTE) < MINUTE else MINUTE
            real = _seconds(stamp) if stamp else time.time()

            def fill(values: StatisticSet, datum: dict[str, Any] = datum) -> None:
                _fill(values, datum)

            Metrics.put(self.account_id, self.region_name, series, real, fill, resolution)

    def get_all_metrics(self) -> list[MetricDatumBase]:
        """One datum a metric, which is what ListMetrics needs of it."""
        ours = [
            MetricDatumBase(
                series.namespace,
                series.name,
                [{"Name": name, "Value": value} for name, value in series.dimensions],
                None,
                series.unit,
            )
            for series in Metrics.all(self.account_id, self.region_name)
        ]
        return [*ours, *super().get_all_metrics()]

    def read(
        self, metric: dict[str, Any], period: int, start: float, end: float, unit: str | None = None
    ) -> tuple[str, dict[float, StatisticSet]]:
        """The metric's unit, and its values by the start of their period; `start` and `end` in s."""
        if period < FINE:
            raise NotImplementedError(f"periods below {FINE} s")
        start = start // min(period, MINUTE) * min(period, MINUTE)  # as CloudWatch rounds it
        key = (metric["Namespace"], metric["MetricName"], dimensions(metric))
        points = Metrics.points(self.account_id, self.region_name, key, unit, start, end)
        points += _of_moto(self, key)
        found: dict[float, StatisticSet] = {}
        for at, values in sorted(points, key=lambda point: point[0]):
            if start <= at < end:
                begin = start + (at - start) // period * period
                found.setdefault(begin, StatisticSet()).merge(values)
        return Metrics.unit(self.account_id, self.region_name, key), found

    def set_alarm_state(self, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        alarm = self.alarms.get(alarm_name)
        before = (alarm.state_value, alarm.state_reason) if alarm else None
        super().set_alarm_state(alarm_name, reason, reason_data, state_value)
        if alarm is not None and before is not None:
            alarms.was_set(self, alarm, before)


def _of_moto(backend: CloudWatchBackend, key: MetricKey) -> Iterator[tuple[float, StatisticSet]]:
    """Metrics that moto's own services publish, such as the size of a bucket."""
    for datum in backend.aws_metric_data:
        if (datum.namespace, datum.name, dimensions_of(datum)) == key:
            values = StatisticSet()
            values.add(float(vars(datum).get("value", 0.0)))
            yield _seconds(datum.timestamp), values


def _fill(values: StatisticSet, datum: dict[str, Any]) -> None:
    if datum.get("Values"):
        counts = datum.get("Counts") or [1.0] * len(datum["Values"])
        for value, count in zip(datum["Values"], counts, strict=True):
            if float(count) > 0:
                values.add(float(value), float(count))
    elif datum.get("StatisticValues"):
        given = datum["StatisticValues"]
        values.add_summary(*(float(given[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum")))
    else:
        values.add(float(datum.get("Value", 0.0)))


class CloudWatch(CloudWatchResponse):
    @property
    def _backend(self) -> Backend:
        return cast(Backend, self.cloudwatch_backend)

    def get_metric_data(self) -> ActionResult:
        start, end = self._span()
        results: dict[str, dict[float, float]] = {}
        answers = []
        queries = self._get_param("MetricDataQueries", [])
        expressions = [query for query in queries if "MetricStat" not in query]
        for query in [query for query in queries if "MetricStat" in query]:
            results[query["Id"]] = self._stat(query["MetricStat"], start, end)
        for query in expressions:
            results[query["Id"]] = self._expression(query, results)
        newest_first = (self._get_param("ScanBy") or "TimestampDescending") == "TimestampDescending"
        for query in queries:
            if query.get("ReturnData", True) is False:
                continue
            points = sorted(results[query["Id"]].items(), reverse=newest_first)
            answers.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label") or _label(query),
                    "Timestamps": [datetime.fromtimestamp(at, UTC) for at, _ in points],
                    "Values": [value for _, value in points],
                    "StatusCode": "Complete",
                }
            )
        return ActionResult({"MetricDataResults": answers, "Messages": []})

    def _stat(self, stat: dict[str, Any], start: float, end: float) -> dict[float, float]:
        _check_statistic(stat["Stat"])
        _, found = self._backend.read(stat["Metric"], int(stat["Period"]), start, end, stat.get("Unit"))
        values = {at: values.get(stat["Stat"]) for at, values in found.items()}
        return {at: value for at, value in values.items() if value is not None}

    def _expression(
        self, query: dict[str, Any], results: dict[str, dict[float, float]]
    ) -> dict[float, float]:
        if "Expression" not in query:
            index = self._get_param("MetricDataQueries", []).index(query) + 1
            raise ValidationError(f"The parameter MetricDataQueries.member.{index}.MetricStat is required.\n")
        expression = Expression(query["Expression"])
        times = sorted({at for points in results.values() for at in points})
        values = {at: expression({name: points.get(at) for name, points in results.items()}) for at in times}
        return {at: value for at, value in values.items() if value is not None}

    def get_metric_statistics(self) -> ActionResult:
        start, end = self._span()
        statistics = self._get_param("Statistics", []) or []
        extended = self._get_param("ExtendedStatistics", []) or []
        if not statistics and not extended:
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        for name in (*statistics, *extended):
            _check_statistic(name)
        metric = {name: self._get_param(name) for name in ("Namespace", "MetricName", "Dimensions")}
        period = int(self._get_param("Period"))
        unit, found = self._backend.read(metric, period, start, end, self._get_param("Unit"))
        points = []
        for at, values in sorted(found.items()):
            point: dict[str, Any] = {"Timestamp": datetime.fromtimestamp(at, UTC), "Unit": unit}
            point |= {name: values.get(name) for name in statistics}
            known = {name: value for name in extended if (value := values.get(name)) is not None}
            points.append(point | ({"ExtendedStatistics": known} if known else {}))
        return ActionResult({"Label": metric["MetricName"], "Datapoints": points})

    def _span(self) -> tuple[float, float]:
        start, end = (_seconds(self._get_param(name)) for name in ("StartTime", "EndTime"))
        if start >= end:
            raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
        return start, end

    def put_metric_alarm(self) -> ActionResult:
        request = self._get_params()
        alarms.check(request)
        actions = [one for kind in _ACTIONS for one in request.get(kind) or []]
        if any(":scalingPolicy:" not in action for action in actions):
            accepted.warn("PutMetricAlarm with actions")
        before = self._backend.alarms.get(request["AlarmName"])
        answer = super().put_metric_alarm()
        alarms.was_put(self._backend, self._backend.alarms[request["AlarmName"]], before)
        return answer

    def put_composite_alarm(self) -> ActionResult:
        request = self._get_params()
        if request.get("ActionsSuppressor"):
            raise NotImplementedError("PutCompositeAlarm with ActionsSuppressor")
        composite.Rule(request["AlarmRule"])
        before = self._backend.alarms.get(request["AlarmName"])
        super().put_metric_alarm()
        alarms.was_put(self._backend, self._backend.alarms[request["AlarmName"]], before)
        return EmptyResult()

    def describe_alarm_history(self) -> ActionResult:
        items = alarms.history(self._backend, self._get_params())
        return ActionResult({"AlarmHistoryItems": items})


def _label(query: dict[str, Any]) -> str:
    return str(query["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in query else query["Id"])


def _check_statistic(name: str) -> None:
    if not is_statistic(name):
        raise NotImplementedError(f"the statistic {name}; {', '.join(PLAIN)} and percentiles (p99.9) are")


def _seconds(time: datetime | str | float) -> float:
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return math.floor(time)


def install(_: Config) -> None:
    gaps.replace_backend(cloudwatch_backends, Backend, urls)
    gaps.replace_responses(urls, CloudWatch)
    heartbeat.every_ten_seconds(alarms.evaluate_all)
