"""Latencies as an HdrHistogram: percentiles to three digits, of any number of answers, in little memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hdrh.histogram import HdrHistogram

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
FEW = 10  # answers beyond a percentile, below which chance makes much of it
_LONGEST = 600_000_000  # microseconds
_DIGITS = 3


@dataclass(frozen=True)
class Latency:
    """In milliseconds; a percentile that no answer lies beyond is None."""

    count: int
    percentiles: dict[str, float | None]  # "50", "90", "99", "99.9"
    mean: float
    max: float
    curve: tuple[tuple[float, float], ...]  # percentile, milliseconds

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Latency | None:
        """None without any."""
        histogram: Any = HdrHistogram(1, _LONGEST, _DIGITS)
        count, total, longest = 0, 0.0, 0.0
        for each in seconds:
            histogram.record_value(min(max(1, round(each * 1e6)), _LONGEST))
            count, total, longest = count + 1, total + each, max(longest, each)
        if not count:
            return None

        def at(percentile: float) -> float:
            return min(float(histogram.get_value_at_percentile(percentile)) / 1000, longest * 1000)

        return cls(
            count,
            {f"{each:g}": at(each) if beyond(count, each) >= 1 else None for each in PERCENTILES},
            total / count * 1000,
            longest * 1000,
            tuple((each, at(each)) for each in _steps(count)),
        )

    @property
    def few(self) -> list[str]:
        """The percentiles that rest on few answers."""
        return [name for name in self.percentiles if beyond(self.count, float(name)) < FEW]

    def to_dict(self) -> dict[str, Any]:
        return {
            "answers": self.count,
            **{f"p{name}": _rounded(value) for name, value in self.percentiles.items()},
            "mean": _rounded(self.mean),
            "max": _rounded(self.max),
            "few_answers_beyond": [f"p{name}" for name in self.few],
        }


def beyond(count: int, percentile: float) -> float:
    """How many of so many answers lie beyond the percentile."""
    return round(count * (100 - percentile) / 100, 6)


def _steps(count: int) -> list[float]:
    """Percentiles, closer and closer to 100 as far as there are answers: ten in each nine."""
    steps, rest = [0.0], 100.0
    while beyond(count, 100 - rest / 10) >= 1:
        steps += [100 - rest * (1 - 0.09 * part) for part in range(1, 11)]
        rest /= 10
    return steps if len(steps) > 1 else [0.0, 50.0]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
