"""A training job's states, with their times and what is billed for them."""

from __future__ import annotations

import math
import threading
import time
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow

SPOT_SHARE = 0.3  # of the on-demand price. AWS's follows the market; this one is made up, and constant

_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
    "Interrupted": "Training job interrupted: the managed spot training instances were reclaimed",
}
_STATUS = {
    "Completed": "Completed",
    "Failed": "Failed",
    "Stopping": "Stopping",
    "Stopped": "Stopped",
    "MaxRuntimeExceeded": "Stopped",
    "MaxWaitTimeExceeded": "Stopped",
}


class Course:
    def __init__(self, *, spot: bool) -> None:
        self.created = self.modified = utcnow()
        self.status = "InProgress"
        self.failure_reason: str | None = None
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self._born = time.monotonic()
        self._spot = spot
        self._transitions: list[dict[str, Any]] = []
        self._trained = 0.0  # s of attempts that are over
        self._attempt: float | None = None  # when the one that runs began
        self.lock = threading.RLock()
        self.enter("Starting")

    @property
    def secondary(self) -> str:
        return str(self._transitions[-1]["Status"])

    @property
    def over(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped")

    @property
    def age(self) -> float:
        """Seconds since the job was created."""
        return time.monotonic() - self._born

    @property
    def trained(self) -> float:
        """Seconds on training instances, over all attempts."""
        with self.lock:
            running = 0.0 if self._attempt is None else time.monotonic() - self._attempt
            return self._trained + running

    def enter(self, secondary: str, failure_reason: str | None = None) -> None:
        """Go into the next state. A job that is stopping stays so, whatever the instances do, until it is over."""
        with self.lock:
            now = utcnow()
            if self._transitions:
                self._transitions[-1]["EndTime"] = now
            entry = {"Status": secondary, "StartTime": now, "StatusMessage": _MESSAGES[secondary]}
            self._transitions.append(entry)
            if self.status != "Stopping" or secondary in _STATUS:
                self.status = _STATUS.get(secondary, "InProgress")
            self.failure_reason = failure_reason
            self.modified = now
            if self.over:
                entry["EndTime"] = now
                self.ended = now if self.started else None

    def say(self, message: str) -> None:
        """A new message within the same state."""
        with self.lock:
            self._transitions[-1]["StatusMessage"] = message

    def begin_attempt(self) -> None:
        with self.lock:
            self.started = self.started or utcnow()
            self._attempt = time.monotonic()

    def end_attempt(self) -> None:
        with self.lock:
            if self._attempt is not None:
                self._trained += time.monotonic() - self._attempt
                self._attempt = None

    def describe(self) -> dict[str, Any]:
        with self.lock:
            answer: dict[str, Any] = {
                "TrainingJobStatus": self.status,
                "SecondaryStatus": self.secondary,
                "SecondaryStatusTransitions": [dict(entry) for entry in self._transitions],
                "CreationTime": self.created,
                "LastModifiedTime": self.modified,
            }
            if self.failure_reason:
                answer["FailureReason"] = self.failure_reason
            if self.started:
                answer["TrainingStartTime"] = self.started
            if self.ended:
                seconds = max(1, math.ceil(self.trained))
                answer["TrainingEndTime"] = self.ended
                answer["TrainingTimeInSeconds"] = seconds
                billed = self.trained * SPOT_SHARE if self._spot else self.trained
                answer["BillableTimeInSeconds"] = max(1, math.ceil(billed))
            return answer
