"""The embedded cloud's own loop over recorded requests, and the simulator, are held to the same timelines."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from localcloud import clock
from localcloud.metrics import FINE, Metrics
from localcloud.scaled_variant import ScaledVariant, Value
from localcloud.scaling import MINUTE_METRIC, Scaler
from ops.simulate.replay import BEGINNING
from tests.scaling_scenarios import SCENARIOS, Scenario, simulated

ACCOUNT, REGION = "123456789012", "us-east-1"


class FakeFleet:
    """Its instances come and go in the time that the scenario says, by a clock that the test moves."""

    def __init__(self, scenario: Scenario) -> None:
        self._assumed = scenario.assumptions
        self.now = BEGINNING
        self.desired = self.serving = scenario.limits.minimum
        self._ready = math.inf
        self._ended: Callable[[str | None], None] = lambda _: None
        self.blocked = False
        self.refusal: str | None = None

    def capacity(self) -> int:
        return self.desired

    def is_blocked(self) -> bool:
        return self.blocked

    def resize(self, count: int, ended: Callable[[str | None], None]) -> None:
        if self.refusal is not None:
            ended(self.refusal)
            return
        fewer = count < self.serving
        self.desired, self._ended = count, ended
        self.serving = count if fewer else self.serving
        self._ready = self.now + (self._assumed.stop_seconds if fewer else self._assumed.start_seconds)

    def pass_to(self, now: float) -> None:
        self.now = now
        if now >= self._ready:
            self.serving, self._ready = self.desired, math.inf
            self._ended(None)


@pytest.fixture(autouse=True)
def _own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_current", clock.Clock(1.0, BEGINNING))
    monkeypatch.setattr(Metrics, "_groups", {})


def variant(scenario: Scenario, fleet: FakeFleet) -> ScaledVariant:
    scaler = Scaler(
        scenario.limits, scenario.policies, scenario.scheduled, scenario.assumptions,
        resource="endpoint/e/variant/main", now=BEGINNING,
    )  # fmt: skip

    def values(metric: str, period: int) -> Value:
        assert metric == MINUTE_METRIC
        key = ("AWS/SageMaker", "InvocationsPerInstance", (("EndpointName", "e"), ("VariantName", "main")))
        return lambda number: Metrics.period(ACCOUNT, REGION, key, number, period, "Sum") or 0.0

    return ScaledVariant(scaler, fleet, values, lambda: fleet.now)


def run(scenario: Scenario, change: Callable[[float, FakeFleet], None] = lambda *_: None) -> ScaledVariant:
    fleet = FakeFleet(scenario)
    scaled = variant(scenario, fleet)
    where = {"EndpointName": "e", "VariantName": "main"}
    for step in range(len(scenario.minutes) * 6):
        now = BEGINNING + step * FINE
        fleet.pass_to(now)
        change(now - BEGINNING, fleet)
        scaled.beat(now)
        requests = scenario.minutes[step // 6] / 6
        if requests:
            value = {"InvocationsPerInstance": (requests / fleet.serving, "None")}
            Metrics.record(ACCOUNT, REGION, "AWS/SageMaker", where, value, at=now + 3)
    return scaled


def timeline(scaled: ScaledVariant) -> tuple[tuple[int, int, int], ...]:
    return tuple(
        (round(each.started - BEGINNING), each.before, each.after)
        for each in scaled.scaler.activities
        if each.before != each.after
    )


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_cloud_and_the_simulator_scale_at_the_same_times(scenario: Scenario) -> None:
    assert timeline(run(scenario)) == simulated(scenario) == scenario.expected


def test_nothing_scales_during_an_update_of_the_endpoint() -> None:
    def update(seconds: float, fleet: FakeFleet) -> None:
        fleet.blocked = seconds < 400

    scaled = run(SCENARIOS[0], update)
    refused = scaled.scaler.activities[0]
    assert [reason.code for reason in refused.reasons] == ["TargetServicePutResourceAsUnscalable"]
    assert timeline(scaled)[0] == (420, 1, 3)


def test_instances_that_do_not_come_fail_the_activity_which_is_tried_again() -> None:
    def shortage(seconds: float, fleet: FakeFleet) -> None:
        fleet.refusal = "InsufficientInstanceCapacity" if seconds < 270 else None

    scaled = run(SCENARIOS[0], shortage)
    failed = scaled.scaler.activities[0]
    assert (failed.status, failed.message) == (
        "Failed",
        "Failed to set desired instance count to 3. Reason: InsufficientInstanceCapacity",
    )
    assert timeline(scaled)[:2] == ((240, 1, 3), (300, 1, 3))
