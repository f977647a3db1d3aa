"""Metrics in the namespace AWS/Lambda: one statistic set a minute, metric and function, however many the calls."""

from __future__ import annotations

from collections import OrderedDict

from moto.cloudwatch.models import MetricAggregatedDatum, cloudwatch_backends
from moto.core.utils import utcnow

NAMESPACE = "AWS/Lambda"
_UNITS = {"Duration": "Milliseconds"}
_OPEN_SETS = 512  # of the minutes gone by, only moto's copy is kept


class Metrics:
    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, ...], MetricAggregatedDatum] = OrderedDict()

    def invoked(
        self,
        function: tuple[str, str, str],
        qualifier: str | None,
        *,
        failed: bool,
        milliseconds: float,
        concurrency: int,
    ) -> None:
        """`concurrency`: invocations of the function that ran at once, this one included."""
        self._add(function, qualifier, "Invocations", 1)
        self._add(function, qualifier, "Errors", int(failed))
        self._add(function, qualifier, "Throttles", 0)
        self._add(function, qualifier, "Duration", milliseconds)
        self._add(function, qualifier, "ConcurrentExecutions", concurrency)

    def throttled(self, function: tuple[str, str, str], qualifier: str | None) -> None:
        self._add(function, qualifier, "Throttles", 1)

    def _add(self, function: tuple[str, str, str], qualifier: str | None, metric: str, value: float) -> None:
        account_id, region, name = function
        dimensions = [{"Name": "FunctionName", "Value": name}]
        self._put(account_id, region, metric, dimensions, value)
        if qualifier is not None:
            resource = {"Name": "Resource", "Value": f"{name}:{qualifier}"}
            self._put(account_id, region, metric, [*dimensions, resource], value)

    def _put(
        self, account_id: str, region: str, metric: str, dimensions: list[dict[str, str]], value: float
    ) -> None:
        minute = utcnow().replace(second=0, microsecond=0)
        key = (account_id, region, metric, minute.isoformat(), *(item["Value"] for item in dimensions))
        datum = self._open.get(key)
        if datum is None:
            unit = _UNITS.get(metric, "Count")
            datum = MetricAggregatedDatum(NAMESPACE, metric, value, value, 0, 0, dimensions, minute, unit)
            cloudwatch_backends[account_id][region].metric_data.append(datum)
            self._open[key] = datum
            while len(self._open) > _OPEN_SETS:
                self._open.popitem(last=False)
        datum.min = min(datum.min, value)
        datum.max = max(datum.max, value)
        datum.sample_count += 1
        datum.sum += value
