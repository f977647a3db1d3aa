"""What CloudWatch keeps of a period's values: count, sum, extremes, and a sketch that percentiles are read from.

The sketch is DDSketch's: counts in buckets whose bounds grow by the same factor, so that a percentile is off by at most
1 %, however many values there are and however they are spread. Sketches of several periods add up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

_GROWTH = 1.01 / 0.99
_LOG = math.log(_GROWTH)
_ABOVE = 1 << 17  # what bucket numbers of positive values are lifted by; negative values mirror them
_PERCENTILE = re.compile(r"p(100|\d{1,2}(\.\d{1,10})?)")
PLAIN = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")


def is_statistic(name: str) -> bool:
    return name in PLAIN or _PERCENTILE.fullmatch(name) is not None


class StatisticSet:
    __slots__ = ("buckets", "count", "high", "low", "opaque", "total")

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.buckets: dict[int, float] = {}
        self.opaque = False  # some values came as a statistic set, and how they are spread is not known

    def add(self, value: float, count: float = 1.0) -> None:
        self.count += count
        self.total += value * count
        if value < self.low:
            self.low = value
        if value > self.high:
            self.high = value
        key = _key(value)
        self.buckets[key] = self.buckets.get(key, 0.0) + count

    def add_summary(self, count: float, total: float, low: float, high: float) -> None:
        if low == high:
            self.add(low, count)
            return
        self.count += count
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.opaque = True

    def merge(self, other: StatisticSet) -> None:
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        for key, count in other.buckets.items():
            self.buckets[key] = self.buckets.get(key, 0.0) + count
        self.opaque = self.opaque or other.opaque

    def get(self, statistic: str) -> float | None:
        """None where there is nothing to tell it from."""
        if not self.count:
            return None
        if statistic in PLAIN:
            return {
                "SampleCount": self.count,
                "Sum": self.total,
                "Average": self.total / self.count,
                "Minimum": self.low,
                "Maximum": self.high,
            }[statistic]
        return None if self.opaque else self._percentile(float(statistic[1:]) / 100)

    def _percentile(self, share: float) -> float:
        rank, passed = share * (self.count - 1), 0.0
        for key in sorted(self.buckets):
            passed += self.buckets[key]
            if passed > rank:
                return min(max(_value(key), self.low), self.high)
        return self.high


def merged(sets: Iterable[StatisticSet | None]) -> StatisticSet | None:
    """Their sum; None without any."""
    total: StatisticSet | None = None
    for one in sets:
        if one is not None:
            total = total or StatisticSet()
            total.merge(one)
    return total


def _key(value: float) -> int:
    if value > 0:
        return math.ceil(math.log(value) / _LOG) + _ABOVE
    return 0 if value == 0 else -math.ceil(math.log(-value) / _LOG) - _ABOVE


def _value(key: int) -> float:
    if key == 0:
        return 0.0
    middle = 2 * _GROWTH ** (abs(key) - _ABOVE) / (1 + _GROWTH)
    return middle if key > 0 else -middle
