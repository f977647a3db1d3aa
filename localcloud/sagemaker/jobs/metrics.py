"""Metrics that a training job prints: found by regular expression, kept in CloudWatch and in the job."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow

from localcloud.actors import Actor
from localcloud.metrics import Metrics

NAMESPACE = "/aws/sagemaker/TrainingJobs"
_KEPT = 10_000  # values of one metric


@dataclass(frozen=True)
class Value:
    value: float
    time: datetime


class Scanner:
    """Called with each line of each instance's log."""

    def __init__(self, actor: Actor, job_name: str, definitions: list[dict[str, str]]) -> None:
        self._actor, self._job_name = actor, job_name
        self._patterns = [(one["Name"], re.compile(one["Regex"])) for one in definitions]
        self._values: dict[str, deque[Value]] = {}
        self._lock = threading.Lock()

    def __call__(self, line: str) -> None:
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                self._add(name, match[1] if pattern.groups else match[0])

    def _add(self, name: str, text: str | None) -> None:
        try:
            value = float(text or "")
        except ValueError:
            return
        if not math.isfinite(value):  # CloudWatch takes neither
            return
        with self._lock:
            self._values.setdefault(name, deque(maxlen=_KEPT)).append(Value(value, utcnow()))
        actor = self._actor
        if actor.may("cloudwatch:PutMetricData", cloudwatch__namespace=NAMESPACE):
            dimensions = {"TrainingJobName": self._job_name}
            Metrics.record(actor.account_id, actor.region, NAMESPACE, dimensions, {name: (value, "None")})

    def values(self, name: str) -> list[float]:
        """All values so far, oldest first."""
        with self._lock:
            return [value.value for value in self._values.get(name, ())]

    def final(self) -> list[dict[str, Any]]:
        """FinalMetricDataList: the last value of each metric."""
        with self._lock:
            return [
                {"MetricName": name, "Value": values[-1].value, "Timestamp": values[-1].time}
                for name, values in self._values.items()
            ]
