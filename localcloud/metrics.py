"""All metrics of the cloud, its own and those of PutMetricData.

Values of ten seconds of the clock's time are kept for three hours of it, which alarms and scaling need; then those of a
real minute for a day.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud import clock
from localcloud.statistics import StatisticSet, merged

FINE = 10  # s of the clock's time
MINUTE = 60
KEPT_FINE = 3 * 3600 // FINE
KEPT_MINUTES = 24 * 60

Dimensions = tuple[tuple[str, str], ...]  # sorted
MetricKey = tuple[str, str, Dimensions]  # namespace and name


def dimensions(request: Mapping[str, Any]) -> Dimensions:
    """As requests name them."""
    return tuple(sorted((one["Name"], one["Value"]) for one in request.get("Dimensions") or ()))


def dimensions_of(metric: Any) -> Dimensions:
    """As moto keeps them, of a metric, a datum or an alarm."""
    return tuple(sorted((str(one.name), str(one.value)) for one in metric.dimensions))


@dataclass
class Series:
    """A metric in one account and region."""

    namespace: str
    name: str
    dimensions: Dimensions
    unit: str
    resolution: int  # s, 10 or 60: finer periods than it are not told apart
    _fine: OrderedDict[int, StatisticSet] = field(default_factory=OrderedDict)
    _minutes: OrderedDict[int, StatisticSet] = field(default_factory=OrderedDict)

    def bucket(self, real: float) -> StatisticSet:
        """Where a value of that time belongs."""
        number = int(clock.current().at(real) // FINE)
        found = self._fine.get(number)
        if found is not None:
            return found
        newest = next(reversed(self._fine), number)
        if number <= newest - KEPT_FINE:  # of a time long gone
            return self._minutes.setdefault(int(real // MINUTE), StatisticSet())
        found = self._fine[number] = StatisticSet()
        while len(self._fine) > KEPT_FINE:
            oldest, values = self._fine.popitem(last=False)
            self._minutes.setdefault(int(_begin(oldest) // MINUTE), StatisticSet()).merge(values)
        while len(self._minutes) > KEPT_MINUTES:
            self._minutes.popitem(last=False)
        return found

    def points(self) -> Iterator[tuple[float, StatisticSet]]:
        """All values with the real time that CloudWatch stamps them with, in s."""
        for number, values in self._minutes.items():
            yield float(number * MINUTE), values
        for number, values in self._fine.items():
            yield _begin(number) // self.resolution * self.resolution, values

    def period(self, number: int, seconds: int) -> StatisticSet | None:
        """The values of a period of the clock's time: from number * seconds."""
        first = number * seconds // FINE
        return merged(self._fine.get(one) for one in range(first, first + seconds // FINE))


def _begin(number: int) -> float:
    """The real time at which ten seconds begin."""
    return (
        clock.current().real(number * FINE) + 1e-6
    )  # a whole minute must not become the end of the last one


class Metrics:
    _lock = threading.Lock()
    _groups: dict[tuple[str, str, str, Dimensions], dict[str, Series]] = {}  # noqa: RUF012

    @classmethod
    def record(
        cls,
        account_id: str,
        region: str,
        namespace: str,
        dimensions: Mapping[str, str],
        values: Mapping[str, tuple[float, str]],
        *,
        at: float | None = None,
        resolution: int = MINUTE,
    ) -> None:
        """One value of each metric, with its unit."""
        real = time.time() if at is None else at
        group = (account_id, region, namespace, tuple(sorted(dimensions.items())))
        with cls._lock:
            for name, (value, unit) in values.items():
                cls._series(group, name, unit, resolution).bucket(real).add(value)

    @classmethod
    def put(
        cls,
        account_id: str,
        region: str,
        series: tuple[str, str, Dimensions, str],
        real: float,
        fill: Callable[[StatisticSet], None],
        resolution: int,
    ) -> None:
        """Let `fill` add values of a time; `series` is namespace, name, dimensions and unit."""
        namespace, name, dimensions, unit = series
        with cls._lock:
            group = (account_id, region, namespace, dimensions)
            fill(cls._series(group, name, unit, resolution).bucket(real))

    @classmethod
    def _series(
        cls, group: tuple[str, str, str, Dimensions], name: str, unit: str, resolution: int
    ) -> Series:
        members = cls._groups.setdefault(group, {})
        found = members.get(name)
        if found is None:
            found = members[name] = Series(group[2], name, group[3], unit, resolution)
        return found

    @classmethod
    def _found(cls, account_id: str, region: str, metric: MetricKey) -> Series | None:
        namespace, name, dimensions = metric
        return cls._groups.get((account_id, region, namespace, dimensions), {}).get(name)

    @classmethod
    def points(
        cls,
        account_id: str,
        region: str,
        metric: MetricKey,
        unit: str | None,
        start: float,
        end: float,
    ) -> list[tuple[float, StatisticSet]]:
        """From `start` on, before `end`, both in s."""
        with cls._lock:
            series = cls._found(account_id, region, metric)
            if series is None or (unit is not None and unit != series.unit):
                return []
            wanted = [point for point in series.points() if start <= point[0] < end]
            # Copies: values may come in while they are being looked at.
            return [(at, copy) for at, values in wanted if (copy := merged([values])) is not None]

    @classmethod
    def unit(cls, account_id: str, region: str, metric: MetricKey) -> str:
        with cls._lock:
            series = cls._found(account_id, region, metric)
            return series.unit if series else "None"

    @classmethod
    def period(
        cls,
        account_id: str,
        region: str,
        metric: MetricKey,
        number: int,
        seconds: int,
        statistic: str,
    ) -> float | None:
        """A statistic of a period of the clock's time; counts and sums are what a full minute would have made them."""
        with cls._lock:
            series = cls._found(account_id, region, metric)
            values = series.period(number, seconds) if series else None
            found = values.get(statistic) if values else None
        if found is not None and statistic in ("Sum", "SampleCount"):
            return found * clock.current().speed
        return found

    @classmethod
    def all(cls, account_id: str, region: str) -> list[Series]:
        with cls._lock:
            return [
                series
                for group, members in cls._groups.items()
                if group[:2] == (account_id, region)
                for series in members.values()
            ]
