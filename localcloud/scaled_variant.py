"""A scalable target at work: feeds the scaling engine with what was measured, and carries out what it decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from localcloud.scaling import Scaler

Value = Callable[[int], float | None]  # of the period with that number, of the clock's time


class Fleet(Protocol):
    def capacity(self) -> int | None:
        """What was asked for last; None where there is nothing that could be scaled."""

    def is_blocked(self) -> bool: ...

    def resize(self, count: int, ended: Callable[[str | None], None]) -> None:
        """Begin, and call `ended` from any thread, with the reason where it failed."""


class ScaledVariant:
    """`values` says where the values of each of the scaler's metrics come from, zero for none included."""

    def __init__(
        self, scaler: Scaler, fleet: Fleet, values: Callable[[str, int], Value], clock: Callable[[], float]
    ) -> None:
        self.scaler = scaler
        self._fleet = fleet
        self._values = values
        self._clock = clock
        self._ended: tuple[float, str | None] | None = None
        self._lock = threading.Lock()  # of _ended, which comes from the endpoint's thread

    def beat(self, now: float) -> None:
        """Every ten seconds of the clock."""
        for metric, period in self.scaler.wants():
            if now % period == 0:
                value = self._values(metric, period)(int(now // period) - 1)
                if value is not None:
                    self.scaler.observe(metric, period, now, value)
        with self._lock:
            ended, self._ended = self._ended, None
        if ended is not None:
            self.scaler.complete(*ended)
        capacity = self._fleet.capacity()
        if capacity is None:
            return
        blocked = self.scaler.in_progress is None and self._fleet.is_blocked()
        for activity in self.scaler.step(now, capacity, blocked):
            if activity.status == "InProgress":
                self._fleet.resize(activity.after, self._note_end(activity.after))

    def _note_end(self, count: int) -> Callable[[str | None], None]:
        def note(reason: str | None) -> None:
            said = (
                None
                if reason is None
                else f"Failed to set desired instance count to {count}. Reason: {reason}"
            )
            with self._lock:
                self._ended = (self._clock(), said)

        return note
