"""The policies that `--compare` sets beside the planned one, all after the same utilization."""

from __future__ import annotations

import math
from dataclasses import replace

from localcloud.scaling import (
    FAST_METRIC,
    MINUTE_METRIC,
    Alarm,
    Limits,
    ScheduledAction,
    Step,
    StepScaling,
    TargetTracking,
)
from ops.simulate.declared import Scaling
from ops.simulate.replay import Instance
from ops.traffic import Traffic

_HOUR = 3600
_AHEAD = 10  # minutes that a schedule is before the hour that it is for
DAYS = {"weekday": ("MON-FRI", range(5)), "weekend": ("SAT,SUN", range(5, 7))}


def in_flight(target: float, instance: Instance) -> float:
    """Return how many requests are in flight at an instance that gets `target` a minute: Little's law, none waiting."""
    return target / 60 * instance.latency


def a_minute(flight: float, instance: Instance) -> float:
    """The other way round."""
    return flight / instance.latency * 60


def minute_target(scaling: Scaling, instance: Instance) -> float:
    """Return the requests a minute that the planned policy holds an instance at."""
    tracking = scaling.tracking
    if tracking is not None:
        return a_minute(tracking.target, instance) if tracking.is_fast else tracking.target
    for policy in scaling.policies:
        for alarm in policy.alarms if isinstance(policy, StepScaling) else ():
            if alarm.comparison.startswith("Greater"):
                flight = alarm.metric == FAST_METRIC
                return a_minute(alarm.threshold, instance) if flight else alarm.threshold
    return 100.0


def warm(scaling: Scaling, traffic: Traffic, instance: Instance) -> Scaling:
    """Return the scaling with as many instances at the beginning as it holds at the first rate."""
    if not scaling.policies:
        return scaling
    needed = math.ceil(60 * traffic.rates[0] / minute_target(scaling, instance) - 1e-9)
    return replace(scaling, initial=scaling.limits.clamp(max(needed, 1)))


def tracking(target: float, metric: str, out_cooldown: float, in_cooldown: float) -> TargetTracking:
    return TargetTracking("target-tracking", target, metric, out_cooldown, in_cooldown)


def stepping(target: float, cooldown: float) -> tuple[StepScaling, StepScaling]:
    """A minute above the target adds one instance, twice as much two, four times as much four."""
    high = Alarm("scale-out", MINUTE_METRIC, "GreaterThanThreshold", target, 60, 1, 1, "notBreaching", "Sum")
    low = Alarm("scale-in", MINUTE_METRIC, "LessThanThreshold", 0.6 * target, 60, 15, 15, "breaching", "Sum")
    steps = (Step(1, 0, target), Step(2, target, 3 * target), Step(4, 3 * target, None))
    return (
        StepScaling("scale-out", (high,), steps, cooldown=cooldown),
        StepScaling("scale-in", (low,), (Step(-1, None, 0),), cooldown=cooldown),
    )


def schedule(traffic: Traffic, target: float, limits: Limits) -> tuple[ScheduledAction, ...]:
    """Return a minimum that follows the usual day, hour by hour and a little ahead; none of less than a day."""
    if traffic.seconds < 24 * _HOUR:
        return ()
    whole_week = traffic.seconds >= 7 * 24 * _HOUR
    actions = []
    for name, (days, numbers) in DAYS.items() if whole_week else (("day", ("*", range(7))),):
        needs = _needs(traffic, target, limits, set(numbers))
        for hour, need in enumerate(needs):
            if need != needs[hour - 1]:
                # Not before midnight: that would be another day.
                fields = f"{60 - _AHEAD} {hour - 1}" if hour else "0 0"
                cron = f"cron({fields} * * ? *)" if days == "*" else f"cron({fields} ? * {days} *)"
                actions.append(ScheduledAction(f"{name}-{hour:02}", cron, minimum=need))
    return tuple(actions)


def _needs(traffic: Traffic, target: float, limits: Limits, days: set[int]) -> list[int]:
    """Instances for each hour of the day: for its mean, so that target tracking has only the rest to do."""
    sums, counts = [0.0] * 24, [0] * 24
    for i, rate in enumerate(traffic.rates):
        time = i * traffic.interval
        if int(time // (24 * _HOUR)) % 7 in days:
            hour = int(time // _HOUR) % 24
            sums[hour] += rate
            counts[hour] += 1
    means = [total / count if count else 0.0 for total, count in zip(sums, counts, strict=True)]
    return [limits.clamp(math.ceil(60 * mean / target - 1e-9)) for mean in means]


def variants(planned: Scaling, traffic: Traffic, instance: Instance) -> list[tuple[str, Scaling]]:
    """Return the planned policy and those to compare with it, each once."""
    target = minute_target(planned, instance)
    fast = in_flight(target, instance)
    own = planned.tracking
    base = replace(planned, scheduled=())
    usual = tracking(target, MINUTE_METRIC, 10, 10)
    found = [
        ("as planned", planned),
        ("one-minute, 10 s", replace(base, policies=(usual,))),
        ("one-minute, 300 s", replace(base, policies=(tracking(target, MINUTE_METRIC, 300, 300),))),
        ("high-res, 10 s", replace(base, policies=(tracking(fast, FAST_METRIC, 10, 10),))),
        ("high-res, 300 s", replace(base, policies=(tracking(fast, FAST_METRIC, 300, 300),))),
        ("step, 60 s", replace(base, policies=stepping(target, 60))),
    ]
    actions = schedule(traffic, target, planned.limits)
    if actions:
        first = planned.limits.clamp(_needs(traffic, target, planned.limits, set(range(7)))[0])
        found.append(
            (
                "one-minute + schedule",
                replace(base, policies=(own or usual,), scheduled=actions, initial=first),
            )
        )
    most = planned.limits.clamp(math.ceil(traffic.peak / instance.capacity - 1e-9))
    found.append((f"{most} always", replace(base, initial=most).fixed()))
    unique: list[tuple[str, Scaling]] = []
    for name, scaling in found:
        same = next((i for i, (_, other) in enumerate(unique) if _same(other, scaling)), None)
        if same is None:
            unique.append((name, scaling))
        else:
            unique[same] = (f"{name} (planned)", unique[same][1])
    return unique


def _same(one: Scaling, other: Scaling) -> bool:
    def bare(scaling: Scaling) -> object:
        policies = [replace(policy, name="") for policy in scaling.policies]
        return policies, scaling.scheduled, scaling.limits

    return bare(one) == bare(other)
