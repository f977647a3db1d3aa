"""The AWS/SageMaker metrics of endpoint invocations, one sum a minute as SageMaker publishes them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import ClassVar

from moto.cloudwatch.models import MetricAggregatedDatum, MetricDatumBase
from moto.core.common_models import CloudWatchMetricProvider

_KEPT_MINUTES = 24 * 60
_NAMESPACE = "AWS/SageMaker"


class _Datum(MetricAggregatedDatum):
    def __new__(cls, *_: object, **__: object) -> _Datum:
        return object.__new__(cls)  # moto's own constructor keeps each instance in memory for ever

    def add(self, value: float) -> None:
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self.sum += value
        self.sample_count += 1


class EndpointMetrics(CloudWatchMetricProvider):
    """moto asks every subclass of its metric provider when metrics are read."""

    _lock = threading.Lock()
    _minutes: ClassVar[OrderedDict[datetime, dict[tuple[str, ...], _Datum]]] = OrderedDict()

    @classmethod
    def record(
        cls,
        account_id: str,
        region: str,
        endpoint: str,
        variant: str,
        *,
        instances: int,
        model_latency: float,  # s
        overhead: float,  # s
        status: int,
    ) -> None:
        """One invocation that reached a container; `status` is what the container answered, 0 for nothing."""
        values = {
            "Invocations": (1.0, "None"),
            "InvocationsPerInstance": (1.0 / max(instances, 1), "None"),
            "ModelLatency": (model_latency * 1e6, "Microseconds"),
            "OverheadLatency": (overhead * 1e6, "Microseconds"),
            "Invocation4XXErrors": (float(400 <= status < 500), "None"),
            "Invocation5XXErrors": (float(status == 0 or status >= 500), "None"),
            "InvocationModelErrors": (float(not 200 <= status < 300), "None"),
        }
        minute = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None)
        with cls._lock:
            data = cls._minutes.setdefault(minute, {})
            while len(cls._minutes) > _KEPT_MINUTES:
                cls._minutes.popitem(last=False)
            for name, (value, unit) in values.items():
                key = (account_id, region, endpoint, variant, name)
                if key in data:
                    data[key].add(value)
                else:
                    dimensions = [
                        {"Name": "EndpointName", "Value": endpoint},
                        {"Name": "VariantName", "Value": variant},
                    ]
                    data[key] = _Datum(_NAMESPACE, name, value, value, 1, value, dimensions, minute, unit)

    @classmethod
    def get_cloudwatch_metrics(cls, account_id: str, region: str) -> list[MetricDatumBase]:
        with cls._lock:
            return [
                datum
                for data in cls._minutes.values()
                for key, datum in data.items()
                if key[:2] == (account_id, region)
            ]
