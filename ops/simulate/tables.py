"""A simulation as text, at most 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from localcloud.scaling import Assumptions, StepScaling, TargetTracking
from ops.simulate.declared import Scaling
from ops.simulate.queueing import Numbers
from ops.simulate.recommend import Recommendation, as_terraform
from ops.simulate.replay import Replay
from ops.traffic import Traffic

WIDTH = 80
_LABEL = 13
_BARS = " ▁▂▃▄▅▆▇█"


def row(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"{label:{_LABEL}}",
        subsequent_indent=" " * _LABEL,
        break_long_words=False,
    )


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        rest = f" {seconds % 60:.0f} s" if seconds % 60 >= 0.5 else ""
        return f"{int(seconds // 60)} min{rest}"
    if seconds < 2 * 86400:
        rest = f" {seconds % 3600 // 60:.0f} min" if seconds % 3600 >= 60 else ""
        return f"{int(seconds // 3600)} h{rest}"
    return f"{seconds / 86400:.3g} days"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 10 else f"{seconds:,.1f} s"


def share(value: float) -> str:
    if value == 0:
        return "0 %"
    if value < 0.0001:
        return "< 0.01 %"
    return f"{value:.2%}".replace("%", " %") if value < 0.1 else f"{value:.1%}".replace("%", " %")


def usd(value: float) -> str:
    return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"


def policy_text(scaling: Scaling) -> str:
    """The policy in a sentence."""
    low, high = scaling.limits.minimum, scaling.limits.maximum
    if not scaling.policies and not scaling.scheduled:
        return f"{scaling.initial} instances, always"
    parts = [f"{low} to {high} instances" if low < high else f"{low} instances"]
    for policy in scaling.policies:
        if isinstance(policy, TargetTracking):
            unit = "requests in flight" if policy.is_fast else "requests a minute"
            back = f"{policy.scale_in_cooldown:g} s in" if policy.scales_in else "never in"
            parts.append(
                f"{policy.target:g} {unit} an instance, cooldowns {policy.scale_out_cooldown:g} s out, {back}"
            )
        else:
            parts.append(_step_text(policy))
    if scaling.scheduled:
        parts.append(f"{len(scaling.scheduled)} scheduled actions")
    return "; ".join(parts)


def _step_text(policy: StepScaling) -> str:
    changes = ", ".join(f"{step.adjustment:+d}" for step in policy.steps)
    when = " or ".join(
        f"{'above' if alarm.comparison.startswith('Greater') else 'below'} {alarm.threshold:g} "
        f"for {alarm.datapoints_to_alarm} × {alarm.period} s"
        for alarm in policy.alarms
    )
    return f"{changes} when {when or 'no alarm asks'}, cooldown {policy.cooldown:g} s"


def reaction_text(scaling: Scaling, assumptions: Assumptions) -> str | None:
    """What to expect from an overload to new instances that serve."""
    found = decision_seconds(scaling, assumptions)
    if found is None:
        return None
    soonest, latest = found
    start = assumptions.start_seconds
    return (
        f"{duration(soonest)} to {duration(latest)} until it scales out, and {duration(start)} until the "
        f"instances serve: {duration(soonest + start)} to {duration(latest + start)} in all"
    )


def guesses(assumptions: Assumptions) -> str:
    """Which parameters of the reaction nobody documents."""
    marks = {entry.name: entry.mark for entry in assumptions.table()}
    return (
        f"alarms {marks['high_points']}, delay and start {marks['start_seconds']}; --assume changes them, "
        "docs/scaling.md lists them"
    )


def decision_seconds(scaling: Scaling, assumptions: Assumptions) -> tuple[float, float] | None:
    """From an overload until the quickest policy scales out, at best and at worst."""
    found = []
    for policy in scaling.policies:
        if isinstance(policy, TargetTracking):
            points = assumptions.fast_high_points if policy.is_fast else assumptions.high_points
            watched = [(policy.period, points)]
        else:
            watched = [
                (alarm.period, alarm.datapoints_to_alarm)
                for alarm in policy.alarms
                if alarm.comparison.startswith("Greater")
            ]
        for period, points in watched:
            delay = assumptions.delay(period)
            found.append((period * (points - 1) + delay, period * points + period + delay))
    return min(found, default=None)


def spark(values: Numbers, columns: int) -> str:
    """The largest value of each stretch, as bars."""
    edges = np.linspace(0, len(values), min(columns, len(values)) + 1).astype(int)
    tops = np.array([values[a:b].max() for a, b in pairwise(edges)])
    most = tops.max() or 1.0
    return "".join(_BARS[int(np.ceil(top / most * (len(_BARS) - 1) - 1e-9))] for top in tops)


def counts(values: Numbers, columns: int) -> str:
    """The largest instance count of each stretch, as a digit; more than 9 as +."""
    edges = np.linspace(0, len(values), min(columns, len(values)) + 1).astype(int)
    tops = [int(values[a:b].max()) for a, b in pairwise(edges)]
    return "".join(str(top) if top <= 9 else "+" for top in tops)


def traffic_text(label: str, traffic: Traffic) -> str:
    return (
        f"{label}: {duration(traffic.seconds)}, {traffic.requests:,.0f} requests, "
        f"{traffic.requests / traffic.seconds:,.1f}/s on average, {traffic.peak:,.1f}/s at most"
    )


def one(found: Replay) -> Iterator[str]:
    """What became of one policy."""
    columns = WIDTH - _LABEL
    yield f"{'Demand':{_LABEL}}{spark(found.rates, columns)}"
    yield f"{'Instances':{_LABEL}}{counts(found.serving, columns)}"
    yield ""
    low, high = int(found.serving.min()), int(found.serving.max())
    yield row("Instances", f"{found.serving.mean():.2f} on average, {low} to {high}")
    able = float(found.serving.sum()) * found.instance.capacity
    busiest = float(found.utilization.max())
    used = float(found.rates.sum()) / able if able else 0.0
    most = f"{_percent(busiest)} at most" if np.isfinite(busiest) else "no instance at times"
    yield row("Utilization", f"{_percent(used)} on average, {most}")
    yield row(
        "Latency",
        f"p50 {milliseconds(found.latency(0.5))}, p95 {milliseconds(found.latency(0.95))}, "
        f"p99 {milliseconds(found.latency(0.99))} (estimate)",
    )
    yield row("Refused", f"{share(found.dropped)} ({found.refused.sum():,.0f} requests)")
    yield row("Overload", overload_text(found))
    out = sum(activity.after > activity.before for activity in found.scalings)
    yield row("Scalings", f"{out} out, {len(found.scalings) - out} in")
    yield row("Cost", f"{usd(found.cost)}, or {usd(found.monthly_cost)} a month at this traffic")


def overload_text(found: Replay) -> str:
    worst = found.worst
    if worst is None:
        return "never"
    total = sum(each.seconds for each in found.overloads)
    ended = {"capacity": "until capacity came", "demand": "until demand fell", "the end": "to the end"}
    return (
        f"{duration(total)} in {len(found.overloads)} {'time' if len(found.overloads) == 1 else 'times'}; "
        f"the longest {duration(worst.seconds)}, {ended[worst.ended_by]}"
    )


def comparison(found: Sequence[Replay]) -> Iterator[str]:
    """A line a policy."""
    yield f"{'Policy':28}{'a month':>8}{'inst.':>6}{'p99':>9}{'refused':>9}{'overload':>10}{'reaction':>10}"
    yield "─" * WIDTH
    for each in found:
        overload = sum(one.seconds for one in each.overloads)
        yield (
            f"{each.name:28}{usd(each.monthly_cost):>8}{each.serving.mean():>6.2f}"
            f"{milliseconds(each.latency(0.99)):>9}{share(each.dropped):>9}"
            f"{brief(overload) if overload else '–':>10}{reaction_brief(each):>10}"
        )
    yield ""
    yield row("overload", "time in which more came than the instances could answer")
    yield row("reaction", "from the first overload until its capacity served; > where demand fell first")


def brief(seconds: float) -> str:
    """Short enough for a column."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def reaction_brief(found: Replay) -> str:
    first = found.reaction
    if first is None:
        return "–"
    return f"{'' if first.ended_by == 'capacity' else '> '}{brief(first.seconds)}"


def recommendation(found: Recommendation, planned: Scaling, assumptions: Assumptions) -> Iterator[str]:
    """The policy that was found, and why its target is what it is."""
    best = found.best
    yield row(
        "Goal",
        f"p99 of {milliseconds(found.goal.latency)} or less, {share(found.goal.drops)} refused or less",
    )
    yield row("Holds it", f"{policy_text(best.scaling)} ({found.tried} policies tried)")
    yield from one(best)
    yield ""
    yield as_terraform(best.scaling)
    yield ""
    yield from (row(label, text) for label, text in reasons(found, planned, assumptions))


def reasons(found: Recommendation, planned: Scaling, assumptions: Assumptions) -> Iterator[tuple[str, str]]:
    """What target the capacity of an instance justifies, each with its heading."""
    instance = found.best.instance
    full = 60 * instance.capacity
    if found.is_fixed:
        yield (
            "Why",
            f"Nothing that scales comes in time for this traffic and costs less than {found.best.scaling.initial} "
            f"instances that are always there: {instance.capacity:g} requests/s each, of {found.best.rates.max():.1f}.",
        )
        return
    yield (
        "Target",
        f"An instance answers {instance.capacity:g} requests/s, {full:,.0f} a minute. At the target it gets "
        f"{found.target_a_minute:,.0f} a minute: {_percent(found.utilization)} of what it can do.",
    )
    decided = decision_seconds(found.best.scaling, assumptions)
    if decided is not None:
        late = decided[1] + assumptions.start_seconds
        yield (
            "Headroom",
            f"The rest is for the {duration(late)} that new instances take to come, at worst: demand may grow "
            f"by {_percent(1 / found.utilization - 1)} meanwhile before anything has to wait.",
        )
    tracking = planned.tracking
    if tracking is not None and not tracking.is_fast:
        times = found.target_a_minute / tracking.target
        comment = f", and keeps {times:.1f} times as many instances as this" if times > 1.05 else ""
        yield (
            "Planned",
            f"{tracking.target:g} a minute is {_percent(tracking.target / full)} of an instance{comment}.",
        )


def _percent(value: float) -> str:
    return f"{value * 100:.0f} %"
