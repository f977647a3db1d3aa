"""CloudWatch alarms, evaluated as AWS does: M of N datapoints, missing ones, states with their reasons, history."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import (
    Alarm,
    CloudWatchBackend,
    Dimension,
    Metric,
    MetricDataQuery,
    MetricStat,
    cloudwatch_backends,
)

from localcloud import clock, composite, scaling
from localcloud.metric_math import Expression
from localcloud.metrics import FINE, KEPT_FINE, MINUTE, MetricKey, Metrics, dimensions_of
from localcloud.scaling.alarms import COMPARISONS
from localcloud.statistics import is_statistic

log = logging.getLogger(__name__)

State = tuple[str, str]  # with its reason
_HELD = 5.0  # s that SetAlarmState lasts at least
_KEPT_HISTORY = 2000  # items of an account and region
_WORDS = {
    "GreaterThanThreshold": "greater than",
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass
class _Monitor:
    """An alarm that is evaluated here; those of target tracking are by the scaling engine, which shows their state."""

    watch: scaling.Watch
    value: Callable[[int], float | None]  # of a period of the clock's time
    held_until: float = 0.0


_of_scaling: WeakSet[Alarm] = WeakSet()
_monitors: WeakKeyDictionary[Alarm, _Monitor] = WeakKeyDictionary()
_history: WeakKeyDictionary[CloudWatchBackend, deque[dict[str, Any]]] = WeakKeyDictionary()


def check(request: dict[str, Any]) -> None:
    """ValidationError where AWS refuses the request, NotImplementedError where the embedded cloud does."""
    periods = int(request["EvaluationPeriods"])
    if int(request.get("DatapointsToAlarm") or periods) > periods:
        raise ValidationError("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    if request["ComparisonOperator"] not in COMPARISONS:
        raise NotImplementedError(f"PutMetricAlarm with {request['ComparisonOperator']}")
    if request.get("EvaluateLowSampleCountPercentile") == "ignore":
        raise NotImplementedError("PutMetricAlarm with EvaluateLowSampleCountPercentile ignore")
    stats = [one["MetricStat"] for one in request.get("Metrics") or [] if one.get("MetricStat")]
    given = [(one["Period"], one["Stat"]) for one in stats]
    for one in request.get("Metrics") or []:
        if one.get("Expression"):
            Expression(one["Expression"])
    if not given:
        statistic = request.get("ExtendedStatistic") or request.get("Statistic")
        if not statistic or not request.get("Period"):
            raise ValidationError(
                "At least one of the parameters Statistic and ExtendedStatistic, and Period, are required."
            )
        given = [(request["Period"], statistic)]
    for period, statistic in given:
        if int(period) < FINE:
            raise NotImplementedError(f"alarms with periods below {FINE} s")
        if int(period) % MINUTE and int(period) not in (10, 20, 30):
            raise ValidationError("Period must be 10, 20, 30 or a multiple of 60.")
        if periods * int(period) > KEPT_FINE * FINE:
            raise NotImplementedError(f"alarms that look further back than {KEPT_FINE * FINE // 3600} hours")
        if not is_statistic(statistic):
            raise NotImplementedError(f"alarms on the statistic {statistic}")


def was_put(backend: CloudWatchBackend, alarm: Alarm, before: Alarm | None) -> None:
    """A new alarm has no data yet; a changed one keeps its state until it is evaluated."""
    if before is None:
        alarm.state_value = "INSUFFICIENT_DATA"
        _note(backend, alarm, "ConfigurationUpdate", f'Alarm "{alarm.name}" created', {"type": "Create"})
    else:
        alarm.state_value, alarm.state_reason = before.state_value, before.state_reason
        alarm.state_reason_data = before.state_reason_data
        alarm.state_updated_timestamp = before.state_updated_timestamp
        _note(backend, alarm, "ConfigurationUpdate", f'Alarm "{alarm.name}" updated', {"type": "Update"})


def was_set(backend: CloudWatchBackend, alarm: Alarm, before: State) -> None:
    """SetAlarmState: the next evaluation decides anew, yet not before somebody could see it."""
    monitor = _monitors.get(alarm)
    if monitor is not None:
        monitor.held_until = time.time() + _HELD
    if alarm.state_value != before[0]:
        _note_state(backend, alarm, before)


def show(backend: CloudWatchBackend, alarm: Alarm, watch: scaling.Watch, now: float) -> None:
    """Give the alarm the state of its watch."""
    if watch.state != alarm.state_value:
        _change(backend, alarm, watch.state, _reason(watch, now), _reason_data(watch, now))


def _change(backend: CloudWatchBackend, alarm: Alarm, state: str, reason: str, data: dict[str, Any]) -> None:
    before = (alarm.state_value, alarm.state_reason)
    alarm.update_state(reason, json.dumps(data), state)
    alarm.history.clear()  # moto's own, which nobody reads
    _note_state(backend, alarm, before)
    log.info("alarm %s is in state %s: %s", alarm.name, state, reason)


def leave_to_scaling(alarm: Alarm) -> None:
    _of_scaling.add(alarm)


def evaluate_all(now: float) -> None:
    """Bring every alarm up to date, but for those of target tracking; `now` is the clock's."""
    for regions in list(cloudwatch_backends.values()):
        for backend in list(regions.values()):
            known = [alarm for alarm in list(backend.alarms.values()) if alarm not in _of_scaling]
            for alarm in sorted(known, key=lambda one: one.rule is not None):  # composite ones last
                try:
                    if alarm.rule is None:
                        _evaluate(backend, alarm, now)
                    else:
                        _follow_rule(backend, alarm)
                except Exception:
                    log.exception("alarm %s cannot be evaluated", alarm.name)


def _evaluate(backend: CloudWatchBackend, alarm: Alarm, now: float) -> None:
    monitor = _monitors.get(alarm)
    if monitor is None:
        monitor = _monitors[alarm] = _monitor(backend, alarm)
        monitor.watch.state = alarm.state_value  # type: ignore[assignment]
    if time.time() < monitor.held_until:
        return
    watch = monitor.watch
    period = watch.alarm.period
    newest = int((now - watch.delay + 1e-6) // period)  # the number of the first that is not over
    for number in range(newest - watch.alarm.evaluation_periods - scaling.alarms.EXTRA_PERIODS, newest):
        value = monitor.value(number)
        if value is not None:  # again and again: it may have come late
            watch.put((number + 1) * period, value)
    watch.look(now)
    show(backend, alarm, watch, now)


def _follow_rule(backend: CloudWatchBackend, alarm: Alarm) -> None:
    state, reason, data = composite.evaluate(backend, alarm)
    if state != alarm.state_value:
        _change(backend, alarm, state, reason, data)


def _monitor(backend: CloudWatchBackend, alarm: Alarm) -> _Monitor:
    queries, period = alarm.metric_data_queries, period_of(alarm)
    spec = watched(alarm, alarm.name, period)
    namespaces = [str(query.metric_stat.metric.namespace) for query in queries if query.metric_stat]
    delay = _delay([*namespaces, str(alarm.namespace or "")], period)
    return _Monitor(scaling.Watch(spec, delay), source(backend, alarm, period))


def queries(metrics: list[dict[str, Any]], period: int) -> list[MetricDataQuery]:
    """As moto keeps an alarm's Metrics; None is what DescribeAlarms leaves out."""
    made = []
    for one in metrics:
        stat = one.get("MetricStat")
        if stat:
            pairs = [
                Dimension(each["Name"], each["Value"]) for each in stat["Metric"].get("Dimensions") or ()
            ]
            metric = Metric(stat["Metric"]["MetricName"], stat["Metric"]["Namespace"], pairs)
            stat = MetricStat(metric, str(period), stat["Stat"], stat.get("Unit"))
        made.append(
            MetricDataQuery(
                one["Id"],
                one.get("Label"),  # type: ignore[arg-type]
                None,  # type: ignore[arg-type]
                one.get("ReturnData", True),
                one.get("Expression"),
                stat,
            )
        )
    return made


def period_of(alarm: Alarm) -> int:
    periods = [int(query.metric_stat.period) for query in alarm.metric_data_queries if query.metric_stat]
    return max(periods) if periods else int(alarm.period)


def _delay(namespaces: list[str], period: int) -> float:
    """AWS's own metrics come late; those of PutMetricData are there at once."""
    own = any(name.lstrip("/").lower().startswith("aws/") for name in namespaces)
    return scaling.Assumptions().delay(period) if own else 0.0


def watched(alarm: Alarm, metric: str, period: int) -> scaling.Alarm:
    return scaling.Alarm(
        alarm.name,
        metric,
        alarm.comparison_operator,
        float(alarm.threshold),
        period,
        int(alarm.evaluation_periods),
        int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        alarm.treat_missing_data or "missing",  # type: ignore[arg-type]
        alarm.extended_statistic or alarm.statistic or "Average",
    )


def source(backend: CloudWatchBackend, alarm: Alarm, period: int) -> Callable[[int], float | None]:
    """What gives the alarm's value of a period by its number."""
    account, region = backend.account_id, backend.region_name

    def read(metric: MetricKey, statistic: str) -> Callable[[int], float | None]:
        return lambda number: Metrics.period(account, region, metric, number, period, statistic)

    if not alarm.metric_data_queries:
        metric = (alarm.namespace, alarm.metric_name, dimensions_of(alarm))
        return read(metric, alarm.extended_statistic or alarm.statistic)
    stats = {query.id: query.metric_stat for query in alarm.metric_data_queries if query.metric_stat}
    parts = {name: read(_key(stat.metric), stat.stat) for name, stat in stats.items()}
    asked = next(query for query in alarm.metric_data_queries if str(query.return_data).lower() != "false")
    if asked.expression is None:
        return parts[asked.id]
    expression = Expression(asked.expression)
    return lambda number: expression({name: part(number) for name, part in parts.items()})


def _key(metric: Metric) -> MetricKey:
    return metric.namespace, metric.metric_name, dimensions_of(metric)


def _reason(watch: scaling.Watch, now: float) -> str:
    """StateReason as AWS words it."""
    alarm, points = watch.alarm, _points(watch, now)
    needed = alarm.evaluation_periods
    if watch.state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {_count(needed, 'datapoint')} {_were(needed)} unknown."
    if not points:
        treated = f"{_count(needed, 'missing datapoint')} {_were(needed)} treated as"
        kind = _TREATED.get(alarm.missing, "Missing")
        return f"Threshold Crossed: no datapoints were received for {_count(needed, 'period')} and {treated} [{kind}]."
    rings = watch.state == "ALARM"
    fitting = [point for point in points if alarm.breaches(point[1]) == rings]
    listed = ", ".join(
        f"{value} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, value in fitting
    )
    least = alarm.datapoints_to_alarm if rings else max(needed - alarm.datapoints_to_alarm + 1, 1)
    change = "OK -> ALARM" if rings else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(fitting)} out of the last {needed} datapoints [{listed}] "
        f"{_were(len(fitting))} {'' if rings else 'not '}{_WORDS[alarm.comparison]} the threshold ({alarm.threshold}) "
        f"(minimum {_count(least, 'datapoint')} for {change} transition)."
    )


def _reason_data(watch: scaling.Watch, now: float) -> dict[str, Any]:
    alarm, points = watch.alarm, _points(watch, now)
    return {
        "version": "1.0",
        "queryDate": _stamp(time.time()),
        **({"startDate": _stamp(points[-1][0])} if points else {}),
        "statistic": alarm.statistic,
        "period": alarm.period,
        "recentDatapoints": [value for _, value in reversed(points)],
        "threshold": alarm.threshold,
        "evaluatedDatapoints": [{"timestamp": _stamp(at), "value": value} for at, value in points],
    }


def _points(watch: scaling.Watch, now: float) -> list[tuple[float, float]]:
    """The real times and values that the state rests on, the newest first."""
    period = watch.alarm.period
    newest = int((now - watch.delay + 1e-6) // period) - 1
    recent = watch.recent[::-1][: watch.alarm.evaluation_periods]
    real = clock.current().real
    return [(real((newest - back) * period), value) for back, value in enumerate(recent) if value is not None]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _stamp(real: float) -> str:
    return datetime.fromtimestamp(real, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


# History


def _items(backend: CloudWatchBackend) -> deque[dict[str, Any]]:
    return _history.setdefault(backend, deque(maxlen=_KEPT_HISTORY))


def _note_state(backend: CloudWatchBackend, alarm: Alarm, before: State) -> None:
    summary = f"Alarm updated from {before[0]} to {alarm.state_value}"
    data = {
        "oldState": {"stateValue": before[0], "stateReason": before[1]},
        "newState": {
            "stateValue": alarm.state_value,
            "stateReason": alarm.state_reason,
            "stateReasonData": json.loads(alarm.state_reason_data or "{}"),
        },
    }
    _note(backend, alarm, "StateUpdate", summary, data)


def _note(backend: CloudWatchBackend, alarm: Alarm, kind: str, summary: str, data: dict[str, Any]) -> None:
    _items(backend).append(
        {
            "AlarmName": alarm.name,
            "AlarmType": "CompositeAlarm" if alarm.rule is not None else "MetricAlarm",
            "Timestamp": datetime.now(UTC),
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps({"version": "1.0", **data}),
        }
    )


def history(backend: CloudWatchBackend, request: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = {"AlarmName": request.get("AlarmName"), "HistoryItemType": request.get("HistoryItemType")}
    kinds = request.get("AlarmTypes") or ["MetricAlarm"]
    since, until = request.get("StartDate"), request.get("EndDate")
    found = [
        item
        for item in list(_items(backend))
        if all(value is None or item[name] == value for name, value in wanted.items())
        and item["AlarmType"] in kinds
        and (since is None or item["Timestamp"] >= _aware(since))
        and (until is None or item["Timestamp"] <= _aware(until))
    ]
    if request.get("ScanBy") != "TimestampAscending":
        found.reverse()
    return found[: int(request.get("MaxRecords") or 100)]


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
