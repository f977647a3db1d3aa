"""Metrics that the cloud itself publishes: one statistic set a minute and metric, however many the values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

from moto.cloudwatch.models import MetricAggregatedDatum, MetricDatumBase
from moto.core.common_models import CloudWatchMetricProvider

from localcloud import gaps

_KEPT_MINUTES = 24 * 60


class _Datum(MetricAggregatedDatum):
    def add(self, value: float) -> None:
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self.sum += value
        self.sample_count += 1


gaps.forget_instances(_Datum)


class Metrics(CloudWatchMetricProvider):
    """moto asks every subclass of its metric provider when metrics are read."""

    _lock = threading.Lock()
    _minutes: ClassVar[OrderedDict[datetime, dict[tuple[str, ...], _Datum]]] = OrderedDict()

    @classmethod
    def record(
        cls,
        account_id: str,
        region: str,
        namespace: str,
        dimensions: Mapping[str, str],
        values: Mapping[str, tuple[float, str]],
    ) -> None:
        """One value of each metric, with its unit."""
        minute = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None)
        with cls._lock:
            data = cls._minutes.setdefault(minute, {})
            while len(cls._minutes) > _KEPT_MINUTES:
                cls._minutes.popitem(last=False)
            for name, (value, unit) in values.items():
                key = (
                    account_id,
                    region,
                    namespace,
                    name,
                    *(part for pair in dimensions.items() for part in pair),
                )
                if key in data:
                    data[key].add(value)
                    continue
                pairs = [{"Name": dimension, "Value": given} for dimension, given in dimensions.items()]
                data[key] = _Datum(namespace, name, value, value, 1, value, pairs, minute, unit)

    @classmethod
    def get_cloudwatch_metrics(cls, account_id: str, region: str) -> list[MetricDatumBase]:
        with cls._lock:
            return [
                datum
                for data in cls._minutes.values()
                for key, datum in data.items()
                if key[:2] == (account_id, region)
            ]
