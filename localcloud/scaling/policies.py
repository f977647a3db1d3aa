"""What a scalable target is told: limits, policies, scheduled actions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from localcloud.scaling.alarms import COMPARISONS, Alarm

MINUTE_METRIC = "SageMakerVariantInvocationsPerInstance"
FAST_METRIC = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
FAST_METRICS = {FAST_METRIC, "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"}

Adjustment = Literal["ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity"]


class ScalingError(ValueError):
    """Limits, a policy or a schedule cannot be as they are."""


@dataclass(frozen=True)
class Limits:
    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum:
            raise ScalingError(
                f"The minimum is from 0 to the maximum; got minimum {self.minimum}, maximum {self.maximum}."
            )

    def clamp(self, capacity: int) -> int:
        return max(self.minimum, min(self.maximum, capacity))


@dataclass(frozen=True)
class Suspended:
    """What a scalable target is told to leave alone for the time being."""

    scale_in: bool = False
    scale_out: bool = False
    scheduled: bool = False


@dataclass(frozen=True)
class TargetTracking:
    name: str
    target: float
    metric: str = MINUTE_METRIC
    scale_out_cooldown: float = 300.0  # s
    scale_in_cooldown: float = 300.0  # s
    scales_in: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.target) and self.target > 0):
            raise ScalingError(f"The target value of {self.name} is above 0; got {self.target}.")
        _check_cooldowns(self.name, self.scale_out_cooldown, self.scale_in_cooldown)

    @property
    def is_fast(self) -> bool:
        return self.metric in FAST_METRICS

    @property
    def period(self) -> int:
        return 10 if self.is_fast else 60


@dataclass(frozen=True)
class Step:
    """An adjustment for a metric that lies so far from the alarm's threshold: from `lower` up to below `upper`."""

    adjustment: int
    lower: float | None = None
    upper: float | None = None

    def holds(self, distance: float, above: bool) -> bool:
        """Above the threshold, the lower bound belongs to the step; below it, the upper one."""
        low = -math.inf if self.lower is None else self.lower
        high = math.inf if self.upper is None else self.upper
        return low <= distance < high if above else low < distance <= high


@dataclass(frozen=True)
class StepScaling:
    name: str
    alarms: tuple[Alarm, ...]  # those whose action it is
    steps: tuple[Step, ...]
    adjustment: Adjustment = "ChangeInCapacity"
    cooldown: float = 300.0  # s
    least: int = 1  # the smallest change of a percentage

    def __post_init__(self) -> None:
        if not self.steps:
            raise ScalingError(f"The policy {self.name} has at least one step.")
        for alarm in self.alarms:
            if alarm.comparison not in COMPARISONS:
                raise ScalingError(
                    f"The alarm {alarm.name} compares in a way that is not known: {alarm.comparison}."
                )
        _check_cooldowns(self.name, self.cooldown)

    def wanted(self, capacity: int, distance: float, above: bool) -> int:
        """Return the capacity that the step at this distance from the threshold asks for."""
        step = next((step for step in self.steps if step.holds(distance, above)), None)
        if step is None:
            return capacity
        if self.adjustment == "ExactCapacity":
            return step.adjustment
        change = step.adjustment
        if self.adjustment == "PercentChangeInCapacity":
            exact = capacity * step.adjustment / 100
            # Towards zero, but never to it: 12.7 is 12, 0.67 is 1, -0.67 is -1, -6.67 is -6.
            change = math.trunc(exact) if abs(exact) >= 1 else int(math.copysign(1, exact)) if exact else 0
            if change and abs(change) < self.least:
                change = int(math.copysign(self.least, change))
        return max(0, capacity + change)


@dataclass(frozen=True)
class ScheduledAction:
    name: str
    schedule: str  # at(…), rate(…) or cron(…)
    minimum: int | None = None
    maximum: int | None = None
    timezone: str = "UTC"
    start: float | None = None  # s since the epoch
    end: float | None = None

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None:
            raise ScalingError(f"The scheduled action {self.name} sets a minimum, a maximum or both.")
        if self.minimum is not None and self.maximum is not None:
            Limits(self.minimum, self.maximum)

    def applied_to(self, limits: Limits) -> Limits:
        """Return the limits after the action; where only one is set, the other gives way."""
        minimum = limits.minimum if self.minimum is None else self.minimum
        maximum = limits.maximum if self.maximum is None else self.maximum
        if minimum > maximum:
            return Limits(minimum, minimum) if self.maximum is None else Limits(maximum, maximum)
        return Limits(minimum, maximum)


Policy = TargetTracking | StepScaling


def _check_cooldowns(name: str, *cooldowns: float) -> None:
    for cooldown in cooldowns:
        if not (math.isfinite(cooldown) and cooldown >= 0):
            raise ScalingError(f"A cooldown of {name} is at least 0 seconds; got {cooldown}.")
