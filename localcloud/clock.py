"""The time of scaling, alarms and their metric periods, in which a minute may last less than a minute.

Everything else, what people read of metrics included, keeps real time.
"""

from __future__ import annotations

import time

MAX_SPEED = 120.0  # a period of 10 s lasts 83 ms


class Clock:
    def __init__(self, speed: float = 1.0, origin: float | None = None) -> None:
        self.speed = speed
        # A whole minute, so that minutes of both times begin together.
        self._origin = (time.time() if origin is None else origin) // 60 * 60

    def now(self) -> float:
        return self.at(time.time())

    def at(self, real: float) -> float:
        """The clock's time at a real time, both in seconds since the epoch."""
        return self._origin + (real - self._origin) * self.speed

    def real(self, scaled: float) -> float:
        return self._origin + (scaled - self._origin) / self.speed


_current = Clock()


def set_speed(speed: float) -> None:
    """Once, before anything is measured."""
    global _current
    _current = Clock(speed)


def current() -> Clock:
    return _current
