"""How traffic moves from the old fleet to the new one: UpdateEndpoint's DeploymentConfig.

Alarms count with the state that they have: moto changes it only through SetAlarmState, and evaluates no metrics.
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
        if "RollingUpdatePolicy" in config:
            raise NotImplementedError("DeploymentConfig.RollingUpdatePolicy; BlueGreenUpdatePolicy is")
        policy = config.get("BlueGreenUpdatePolicy", {})
        routing = policy.get("TrafficRoutingConfiguration", _AT_ONCE)
        self._interval = float(routing["WaitIntervalInSeconds"])
        self._shares = _shares(routing, fleet_size)
        self._time_limit = float(policy.get("MaximumExecutionTimeoutInSeconds", math.inf))
        self.termination_wait = float(policy.get("TerminationWaitInSeconds", 0))
        self._cloudwatch = cloudwatch_backends[account_id][region]
        alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        self._alarm_names = [alarm["AlarmName"] for alarm in alarms]
        unknown = [name for name in self._alarm_names if name not in self._cloudwatch.alarms]
        if unknown:
            raise ValidationError(f"CloudWatch alarms {unknown} of AutoRollbackConfiguration do not exist.")

    def run(self, share: Callable[[float], None], closing: threading.Event) -> None:
        """Shift traffic in steps, each followed by its baking time; RolloutError when an alarm goes off."""
        self._check_alarms()
        deadline = time.monotonic() + self._time_limit
        for step in self._shares:
            if time.monotonic() > deadline:
                raise RolloutError(
                    f"The deployment took longer than {self._time_limit:.0f} s. The endpoint was rolled back to its "
                    "previous configuration."
                )
            share(step)
            baked = time.monotonic() + self._interval
            while time.monotonic() < baked:
                if closing.wait(min(_ALARM_INTERVAL, max(baked - time.monotonic(), 0.0))):
                    return
                self._check_alarms()
            self._check_alarms()

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
    size = routing[name]
    step = size["Value"] / (100 if size["Type"] == "CAPACITY_PERCENT" else fleet_size)
    highest = 0.5
    if not 0 < step <= highest and not (fleet_size == 1 and size["Type"] == "INSTANCE_COUNT"):
        raise ValidationError(f"{name} must be at most 50% of the fleet, received {size}.")
    if kind == "CANARY":
        return [min(step, 1.0), 1.0]
    count = max(round(1 / step + 0.499), 1)
    return [min(step * (index + 1), 1.0) for index in range(count)]
