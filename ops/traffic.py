"""Requests a second over time: what a load test did, and what a simulation replays.

As CSV: the header `seconds,requests_per_second`, then a row a step, the first at 0, all steps equally long.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from ml.errors import KennelError
from ops import files

HEADER = ["seconds", "requests_per_second"]
_LONGEST = 32 * 86400.0  # s
_SHORTEST_STEP = 0.1  # s


@dataclass(frozen=True)
class Traffic:
    interval: float  # s
    rates: tuple[float, ...]  # requests a second, during each interval

    def __post_init__(self) -> None:
        if not (math.isfinite(self.interval) and self.interval >= _SHORTEST_STEP):
            raise KennelError(
                f"A step of traffic lasts {_SHORTEST_STEP:g} s or more.", f"{self.interval:g} s"
            )
        if not self.rates:
            raise KennelError("Traffic has at least one step.", "none")
        for number, rate in enumerate(self.rates):
            if not math.isfinite(rate) or rate < 0:
                raise KennelError("A rate is a number from 0.", f"{rate} in step {number + 1}")
        if self.seconds > _LONGEST:
            raise KennelError("Traffic lasts 32 days at most.", f"{self.seconds / 86400:.1f} days")

    @property
    def seconds(self) -> float:
        return self.interval * len(self.rates)

    @property
    def requests(self) -> float:
        return self.interval * math.fsum(self.rates)

    @property
    def peak(self) -> float:
        return max(self.rates)

    @classmethod
    def read(cls, path: Path) -> Traffic:
        """Read such a file.

        Raises:
            KennelError: it is not one; names the line.
        """
        if path.is_dir():
            raise KennelError("Traffic is read from a CSV file.", f"the folder {path}")
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file))
        except FileNotFoundError:
            raise KennelError("The traffic file is there.", path, "./inv load writes one.") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise KennelError("Traffic is a CSV file.", f"{path}: {error}") from None
        while rows and not any(cell.strip() for cell in rows[-1]):
            rows.pop()
        header = [cell.strip() for cell in rows[0]] if rows else []
        if header != HEADER:
            raise _malformed(
                path, 1, f"The header is {','.join(HEADER)}.", ",".join(header) or "an empty file"
            )
        points = [_point(path, line, row) for line, row in enumerate(rows[1:], start=2)]
        if not points:
            raise _malformed(path, 2, "There is a row for each step.", "none")
        if points[0][0] != 0:
            raise _malformed(path, 2, "The first row is that of second 0.", f"{points[0][0]:g}")
        interval = points[1][0] if len(points) > 1 else 1.0
        for number, (seconds, _) in enumerate(points):
            if interval <= 0 or abs(seconds - number * interval) > 1e-3 * interval:
                raise _malformed(
                    path, number + 2, f"All steps are as long as the first, {interval:g} s.",
                    f"{seconds:g} where {number * interval:g} is due",
                )  # fmt: skip
        return cls(interval, tuple(rate for _, rate in points))

    def write(self, path: Path) -> None:
        """Write such a file."""
        lines = [",".join(HEADER)]
        lines += [f"{round(i * self.interval, 6):.12g},{rate:.6g}" for i, rate in enumerate(self.rates)]
        files.write(path, "\n".join(lines) + "\n")

    def resampled(self, interval: float) -> Traffic:
        """Return the same requests in steps of another length; the last one may be cut short by less than a step."""
        if interval == self.interval:
            return self
        count = max(1, math.ceil(self.seconds / interval - 1e-9))
        totals = [0.0]  # requests until the end of each step
        for rate in self.rates:
            totals.append(totals[-1] + rate * self.interval)

        def until(time: float) -> float:
            place = min(time / self.interval, len(self.rates))
            whole = min(int(place), len(self.rates) - 1)
            return totals[whole] + (place - whole) * self.rates[whole] * self.interval

        ends = [until(min(i * interval, self.seconds)) for i in range(count + 1)]
        lengths = [min(interval, self.seconds - i * interval) for i in range(count)]
        return Traffic(interval, tuple(max(0.0, (ends[i + 1] - ends[i]) / lengths[i]) for i in range(count)))


def _point(path: Path, line: int, row: list[str]) -> tuple[float, float]:
    if len(row) != 2:
        raise _malformed(path, line, "A row has two columns.", ",".join(row) or "an empty line")
    numbers = []
    for name, cell in zip(HEADER, row, strict=True):
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise _malformed(path, line, f"{name} is a number from 0.", cell or "nothing")
        numbers.append(number)
    return numbers[0], numbers[1]


def _malformed(path: Path, line: int, rule: str, received: str) -> KennelError:
    return KennelError(f"{path}, line {line}: {rule}", received, "./inv load writes such files.")
