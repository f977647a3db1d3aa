"""How CloudWatch evaluates an alarm: M of N datapoints, and what it makes of missing ones.

As documented in "Using Amazon CloudWatch alarms", with its two tables of examples.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Missing = Literal["missing", "ignore", "breaching", "notBreaching"]

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
REPEAT_SECONDS = 60  # a scaling action is carried out again as long as its alarm lasts
EXTRA_PERIODS = 2  # looked at beyond N where datapoints are missing: 5 for an N of 3, in the documentation


@dataclass(frozen=True)
class Alarm:
    name: str
    metric: str
    comparison: str
    threshold: float
    period: int  # s
    evaluation_periods: int  # N
    datapoints_to_alarm: int  # M
    missing: Missing = "missing"
    statistic: str = "Average"

    def breaches(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.threshold)


def evaluate(
    breaching: Sequence[bool | None], needed: int, to_alarm: int, missing: Missing, before: State
) -> State:
    """Return the state that follows from the newest datapoints, the newest last; None is a missing one.

    `needed` is N, `to_alarm` M; of more datapoints than N, the older ones stand in for missing ones.
    """
    real = [point for point in breaching if point is not None]
    if not real:
        states: dict[Missing, State] = {
            "missing": "INSUFFICIENT_DATA",
            "ignore": before,
            "breaching": "ALARM",
            "notBreaching": "OK",
        }
        return states[missing]
    if len(real) >= needed:
        return "ALARM" if sum(real[-needed:]) >= to_alarm else "OK"
    filled = sum(real) + (needed - len(real) if missing == "breaching" else 0)
    if filled >= to_alarm:
        return "ALARM"
    if missing in ("missing", "ignore") and all(real):
        # An old breach after which nothing came counts as an alarm; a fresh one waits for the next datapoint.
        oldest = len(breaching) - next(i for i, point in enumerate(breaching) if point is not None)
        if oldest >= to_alarm:
            return "ALARM" if missing == "missing" else before
    return "OK"


class Watch:
    """An alarm with its datapoints and its state; values are seen `delay` seconds after their period's end."""

    def __init__(self, alarm: Alarm, delay: float = 0.0) -> None:
        self.alarm = alarm
        self.delay = delay
        self.state: State = "INSUFFICIENT_DATA"
        self.since: float | None = None  # when the state began
        self._values: dict[int, float] = {}  # by period number, not yet seen
        size = alarm.evaluation_periods + EXTRA_PERIODS
        self._recent: deque[float | None] = deque([None] * size, size)
        self._breaching: deque[bool | None] = deque([None] * size, size)
        self._missing = size  # how many of these
        self._hits = 0  # how many of the newest N breach
        self._seen: int | None = None  # number of the newest period looked at
        self._fired: float | None = None

    def put(self, end: float, value: float) -> None:
        """Take the value of the period that ended at `end`."""
        number = round(end / self.alarm.period)
        if self._seen is None or number > self._seen:
            self._values[number] = value
        elif self._seen - number < len(self._recent):  # late
            place = len(self._recent) - 1 - (self._seen - number)
            self._recent[place] = value
            self._breaching[place] = self.alarm.breaches(value)
            self._missing = self._breaching.count(None)
            self._hits = sum(1 for flag in islice(self._breaching, EXTRA_PERIODS, None) if flag)

    def look(self, now: float) -> bool:
        """Evaluate what can be seen by now; return whether the state has changed."""
        newest = int((now - self.delay + 1e-6) // self.alarm.period)
        if newest == self._seen:
            return False
        first = newest - len(self._recent) + 1 if self._seen is None else self._seen + 1
        for number in range(max(first, newest - len(self._recent) + 1), newest + 1):
            self._append(self._values.pop(number, None))
        if self._values and min(self._values) <= newest:  # skipped over
            self._values = {number: value for number, value in self._values.items() if number > newest}
        self._seen = newest
        before, self.state = self.state, self._evaluate()
        if self.state == before and self.since is not None:
            return False
        self.since, self._fired = now, None
        return self.state != before

    def _append(self, value: float | None) -> None:
        flag = None if value is None else self.alarm.breaches(value)
        self._missing += (flag is None) - (self._breaching[0] is None)
        self._hits += (flag is True) - (self._breaching[EXTRA_PERIODS] is True)
        self._recent.append(value)
        self._breaching.append(flag)

    def _evaluate(self) -> State:
        alarm = self.alarm
        if self._missing:
            return evaluate(
                self._breaching,
                alarm.evaluation_periods,
                alarm.datapoints_to_alarm,
                alarm.missing,
                self.state,
            )
        return "ALARM" if self._hits >= alarm.datapoints_to_alarm else "OK"

    def fires(self, now: float) -> bool:
        """Return whether the alarm's action is due: on entering ALARM, and again every minute as it lasts."""
        if self.state != "ALARM" or (self._fired is not None and now < self._fired + REPEAT_SECONDS - 1e-6):
            return False
        self._fired = now
        return True

    @property
    def recent(self) -> list[float | None]:
        """The datapoints looked at last, missing ones included, the newest last."""
        return list(self._recent)

    @property
    def values(self) -> list[float]:
        """The datapoints that the state rests on, the newest last."""
        found = [value for value in self._recent if value is not None]
        return found[-self.alarm.evaluation_periods :]
