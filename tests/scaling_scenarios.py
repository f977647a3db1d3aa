"""Scripted loads with the scaling that must come of them: the simulator and the embedded cloud are both held to them.

Each expectation is computed by hand; the tables say how. Minute k lasts from second 60 (k - 1) to 60 k, and its
datapoint is seen 60 s after its end.
"""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.scaling import Assumptions, Limits, Policy, ScheduledAction, TargetTracking
from ops.simulate.declared import Scaling
from ops.simulate.replay import BEGINNING, Instance, replay
from ops.traffic import Traffic

AT_ONCE = Assumptions(start_seconds=300.0, stop_seconds=60.0)
ABLE = Instance(capacity=1000.0, latency=0.01, queue_seconds=1.0, hourly_usd=1.0)  # refuses nothing


@dataclass(frozen=True)
class Scenario:
    name: str
    limits: Limits
    policies: tuple[Policy, ...]
    minutes: tuple[int, ...]  # requests in each
    expected: tuple[
        tuple[int, int, int], ...
    ]  # seconds since the beginning, instances before, instances after
    scheduled: tuple[ScheduledAction, ...] = ()
    assumptions: Assumptions = AT_ONCE


def tracking(cooldown: float, target: float = 100.0, *, scales_in: bool = True) -> TargetTracking:
    return TargetTracking(
        "target-tracking",
        target,
        scale_out_cooldown=cooldown,
        scale_in_cooldown=cooldown,
        scales_in=scales_in,
    )


_HILL = (260,) * 20 + (60,) * 40

SCENARIOS = (
    # minutes   instances  a minute and instance  seen at
    # 1 - 3     1          260                    240      3 of 3 above 100: ceil(1 × 2.60) = 3, there at 540
    # 7 - 9     1          260                    600      still above, 10 s are over: ceil(3 × 2.60) = 8, at most 4
    # 10 - 15   3          86.7                            below 90, from minute 10 on
    # 16 - 20   4          65
    # 21 - 24   4          15                     1500     15 of 15 below 90: ceil(4 × 0.15) = 1
    Scenario(
        "ten seconds of cooldown scale out again on what was measured before", Limits(1, 4), (tracking(10),), _HILL,
        ((240, 1, 3), (600, 3, 4), (1500, 4, 1)),
    ),
    # 1 - 3     1          260                    240      ceil(1 × 2.60) = 3, there at 540; none larger until 840
    # 10        3          86.7                   660      not above any more
    # 10 - 20   3          86.7
    # 21 - 24   3          20                     1500     15 of 15 below 90: ceil(3 × 0.20) = 1
    Scenario(
        "300 seconds of cooldown wait for what the new instances change", Limits(1, 4), (tracking(300),), _HILL,
        ((240, 1, 3), (1500, 3, 1)),
    ),
    # 1 - 2     1          260
    # 3         1          60                              2 of 3
    # 4 - 5     1          260
    Scenario(
        "two minutes are no reason to scale", Limits(1, 4), (tracking(10),), (260, 260, 60) * 10, (),
    ),
    # 1 - 15    1          0                               below 90, and at the minimum
    Scenario("no traffic stays at the minimum", Limits(1, 4), (tracking(10),), (0,) * 30, ()),
    # 1 - 3     1          170                    240      ceil(1 × 1.70) = 2, there at 540
    # 10 on     2          85                     1500     15 of 15 below 90, but ceil(2 × 0.85) = 2: one would have 170
    Scenario(
        "what would come back is not removed", Limits(1, 4), (tracking(300),), (170,) * 60, ((240, 1, 2),),
    ),
    # 1 - 3     1          500                    240      ceil(5) = 5, at most 4
    # 21 on     4          0                               below 90 from minute 21 on, and never in
    Scenario(
        "scaling in can be switched off", Limits(1, 4), (tracking(300, scales_in=False),), (500,) * 20 + (0,) * 40,
        ((240, 1, 4),),
    ),
    # at(00:10) raises the minimum to 3, at(00:40) lowers it to 1:
    #           3                                 600      at once
    # 1 - 15    1, then 3  30, then 10            960      below 90: ceil(3 × 0.1) = 1, but the minimum is 3
    #           3          10                     2400     minimum 1, and the alarm, that lasts, asks again every minute
    Scenario(
        "a schedule raises and lowers the minimum", Limits(1, 4), (tracking(10),), (30,) * 60,
        ((600, 1, 3), (2400, 3, 1)),
        scheduled=(
            ScheduledAction("morning", "at(2026-01-05T00:10:00)", minimum=3),
            ScheduledAction("evening", "at(2026-01-05T00:40:00)", minimum=1),
        ),
    ),
)  # fmt: skip


def simulated(scenario: Scenario) -> tuple[tuple[int, int, int], ...]:
    """Return what the simulator makes of it."""
    traffic = Traffic(60.0, tuple(count / 60 for count in scenario.minutes))
    scaling = Scaling(scenario.limits, scenario.policies, scenario.scheduled, initial=scenario.limits.minimum)
    found = replay(scenario.name, traffic, scaling, ABLE, scenario.assumptions)
    return tuple((round(each.started - BEGINNING), each.before, each.after) for each in found.scalings)
