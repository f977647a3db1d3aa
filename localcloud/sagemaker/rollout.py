"""How traffic moves from the old fleet to the new one: UpdateEndpoint's DeploymentConfig.

As on AWS, a blue/green update brings all of the new fleet up first, whatever the steps in which traffic follows.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import Alarm, cloudwatch_backends
from moto.sagemaker.exceptions import ValidationError

_ALARM_INTERVAL = 1.0  # s
_AT_ONCE = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}  # where the request has no policy


class RolloutError(Exception):
    """The new fleet was healthy, yet must not stay. The message is the endpoint's FailureReason."""


class Rollout:
    def __init__(self, config: dict[str, Any] | None, fleet_size: int, account_id: str, region: str) -> None:
        """ValidationError where AWS refuses `config`, NotImplementedError where the embedded cloud does."""
        self.config = config
        config = config or {}
        rolling, blue_green = config.get("RollingUpdatePolicy"), config.get("BlueGreenUpdatePolicy")
        if rolling and blue_green:
            raise ValidationError(
                "Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified in DeploymentConfig."
            )
        self.rolls = rolling is not None
        policy = rolling or blue_green or {}
        if rolling:
            self._interval = float(rolling["WaitIntervalInSeconds"])
            self.shares = _batches("MaximumBatchSize", rolling["MaximumBatchSize"], fleet_size)
            back = rolling.get("RollbackMaximumBatchSize")
            self.rollback_shares = (
                _batches("RollbackMaximumBatchSize", back, fleet_size, 1.0) if back else [1.0]
            )
        else:
            routing = policy.get("TrafficRoutingConfiguration", _AT_ONCE)
            self._interval = float(routing["WaitIntervalInSeconds"])
            self.shares = _shares(routing, fleet_size)
        limit = float(policy.get("MaximumExecutionTimeoutInSeconds", math.inf))
        self._time_limit, self._deadline = limit, time.monotonic() + limit
        self.termination_wait = float(policy.get("TerminationWaitInSeconds", 0))
        self._cloudwatch = cloudwatch_backends[account_id][region]
        alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        self._alarm_names = [alarm["AlarmName"] for alarm in alarms]
        unknown = [name for name in self._alarm_names if name not in self._cloudwatch.alarms]
        if unknown:
            raise ValidationError(f"CloudWatch alarms {unknown} of AutoRollbackConfiguration do not exist.")

    def run(self, share: Callable[[float], None], closing: threading.Event) -> None:
        """Shift traffic in steps, each followed by its baking time; RolloutError when an alarm goes off."""
        self._check()
        for step in self.shares:
            share(step)
            self.bake(closing)

    def bake(self, closing: threading.Event) -> None:
        self._check()
        baked = time.monotonic() + self._interval
        while time.monotonic() < baked:
            if closing.wait(min(_ALARM_INTERVAL, max(baked - time.monotonic(), 0.0))):
                return
            self._check()

    def _check(self) -> None:
        self._check_alarms()
        if time.monotonic() > self._deadline:
            raise RolloutError(
                f"The deployment took longer than {self._time_limit:.0f} s. The endpoint was rolled back to its "
                "previous configuration."
            )

    def _check_alarms(self) -> None:
        ringing = [name for name in self._alarm_names if self._rings(self._cloudwatch.alarms.get(name))]
        if ringing:
            raise RolloutError(
                f"One or more CloudWatch alarms of AutoRollbackConfiguration are in ALARM: "
                f"{', '.join(ringing)}. The endpoint was rolled back to its previous configuration."
            )

    @staticmethod
    def _rings(alarm: Alarm | None) -> bool:
        return alarm is not None and alarm.state_value == "ALARM"


def _shares(routing: dict[str, Any], fleet_size: int) -> list[float]:
    """The share of requests that the new fleet gets, step by step."""
    kind = routing["Type"]
    if kind == "ALL_AT_ONCE":
        return [1.0]
    name = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}[kind]
    if name not in routing:
        raise ValidationError(f"{name} must be specified for traffic routing type {kind}.")
    step = _portion(name, routing[name], fleet_size, 0.1 if kind == "LINEAR" else 0.0, 0.5)
    return [step, 1.0] if kind == "CANARY" and step < 1 else _steps(step)


def _batches(name: str, size: dict[str, Any], fleet_size: int, most: float = 0.5) -> list[float]:
    """The share of a fleet that there is after each batch."""
    return _steps(_portion(name, size, fleet_size, 0.05, most))


def _portion(name: str, size: dict[str, Any], fleet_size: int, least: float, most: float) -> float:
    step = float(size["Value"]) / (100 if size["Type"] == "CAPACITY_PERCENT" else fleet_size)
    alone = fleet_size == 1 and size["Type"] == "INSTANCE_COUNT"  # less than one there is not
    if not (least <= step <= most and step > 0) and not alone:
        share = f"{least:.0%} to {most:.0%}" if least else f"at most {most:.0%}"
        raise ValidationError(f"{name} must be {share} of the fleet, received {size}.")
    return min(step, 1.0)


def _steps(step: float) -> list[float]:
    count = math.ceil(1 / step - 1e-9)
    return [min(step * (index + 1), 1.0) for index in range(count)]
