"""Replays traffic against a variant that scales, in steps of ten seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from localcloud.scaling import FAST_METRIC, MINUTE_METRIC, Activity, Assumptions, Scaler
from ops.simulate import queueing
from ops.simulate.declared import Scaling
from ops.simulate.queueing import Numbers
from ops.traffic import Traffic

STEP = 10.0  # s
BEGINNING = 1_767_571_200.0  # Monday, 5 January 2026, 00:00 UTC: schedules need a date


@dataclass(frozen=True)
class Instance:
    """What one instance can do, and costs."""

    capacity: float  # requests a second
    latency: float  # s, of a request that does not wait
    queue_seconds: float  # a request that would wait longer is refused
    hourly_usd: float


@dataclass(frozen=True)
class Reaction:
    """A time with more requests than the instances could answer."""

    began: float  # s
    seconds: float
    ended_by: str  # "capacity", "demand" or "the end"


@dataclass(frozen=True)
class Replay:
    """What became of it, a value a step."""

    name: str
    scaling: Scaling
    instance: Instance
    rates: Numbers  # requests a second
    serving: Numbers  # instances
    paid: Numbers  # instances, those that start included
    refused: Numbers  # requests
    backlog: Numbers  # requests waiting, on average
    activities: list[Activity] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return STEP * len(self.rates)

    @cached_property
    def utilization(self) -> Numbers:
        """Demand as a share of what the instances can do; more than 1 is overload."""
        able = self.serving * self.instance.capacity
        return np.where(able > 0, self.rates / np.maximum(able, 1e-9), np.where(self.rates > 0, np.inf, 0.0))

    @cached_property
    def _latencies(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        able = np.maximum(self.serving, 1.0) * self.instance.capacity
        served = np.maximum(0.0, self.rates * STEP - self.refused)
        waiting = np.minimum(self.backlog / able, self.instance.queue_seconds)
        probability, mean = queueing.waits(self.rates, self.serving, self.instance.capacity)
        return (
            served,
            self.instance.latency + waiting,
            probability,
            np.minimum(mean, self.instance.queue_seconds),
        )

    def latency(self, share: float) -> float:
        """Seconds that this share of the answered requests stays below."""
        return queueing.quantile(share, *self._latencies)

    @cached_property
    def p99(self) -> Numbers:
        """Seconds, a value a step."""
        _, fixed, probability, mean = self._latencies
        return fixed + mean * np.log(np.maximum(1.0, probability * 100))

    @property
    def requests(self) -> float:
        return float(self.rates.sum()) * STEP

    @property
    def dropped(self) -> float:
        """Share of all requests."""
        return float(self.refused.sum()) / self.requests if self.requests else 0.0

    @property
    def instance_hours(self) -> float:
        return float(self.paid.sum()) * STEP / 3600

    @property
    def cost(self) -> float:
        return self.instance_hours * self.instance.hourly_usd

    @property
    def monthly_cost(self) -> float:
        return self.cost / self.seconds * 730 * 3600

    @property
    def scalings(self) -> list[Activity]:
        return [activity for activity in self.activities if activity.after != activity.before]

    @cached_property
    def overloads(self) -> list[Reaction]:
        found: list[Reaction] = []
        over = self.utilization > 1 + 1e-9
        edges = np.flatnonzero(np.diff(np.concatenate(([0], over.astype(np.int8), [0]))))
        for first, end in zip(edges[::2], edges[1::2], strict=True):
            if end == len(over):
                ended_by = "the end"
            else:
                ended_by = "capacity" if self.serving[end] > self.serving[end - 1] else "demand"
            found.append(Reaction(float(first) * STEP, float(end - first) * STEP, ended_by))
        return found

    @property
    def reaction(self) -> Reaction | None:
        """The first overload, until there was capacity in service for it."""
        return next(iter(self.overloads), None)

    @property
    def worst(self) -> Reaction | None:
        return max(self.overloads, key=lambda overload: overload.seconds, default=None)


def replay(
    name: str,
    traffic: Traffic,
    scaling: Scaling,
    instance: Instance,
    assumptions: Assumptions,
    most_refused: float = math.inf,
) -> Replay:
    """Let the engine that the embedded cloud scales with decide, step by step.

    After `most_refused` requests the rest is left out: the search for a policy has no use for it.
    """
    rates = traffic.resampled(STEP).rates
    scaler = Scaler(
        scaling.limits, scaling.policies, scaling.scheduled, assumptions,
        resource="endpoint/simulated/variant/AllTraffic", now=BEGINNING,
    )  # fmt: skip
    meters = _Meters(scaler)
    # Where all metrics are of minutes, nothing is decided between a minute's beginning and the time it is seen.
    slow = all(period % 60 == 0 for _, period in scaler.wants())
    fast = any(metric == FAST_METRIC for metric, _ in scaler.wants())
    phases = {0.0, assumptions.metric_delay % 60 // STEP * STEP} if slow else None
    serving = desired = scaling.initial
    ready = math.inf  # when the activity in progress has come to its end
    capacity, longest = instance.capacity * STEP, instance.queue_seconds / STEP
    backlog = total = 0.0
    counts, paid, refusals, backlogs = [], [], [], []
    for i, rate in enumerate(rates):
        now = BEGINNING + i * STEP
        if now >= ready:
            serving, ready = desired, math.inf
            scaler.complete(now)
        if phases is None or now % 60 in phases:
            for activity in scaler.step(now, desired):
                if activity.status == "InProgress":
                    desired = activity.after
                    if desired > serving:
                        ready = now + assumptions.start_seconds
                    else:
                        serving, ready = desired, now + assumptions.stop_seconds
        arrived = rate * STEP
        able = serving * capacity
        left = backlog + arrived - able
        left = left if left > 0 else 0.0
        bound = able * longest
        refused = left - bound if left > bound else 0.0
        before, backlog = backlog, left - refused
        mean = (before + backlog) / 2
        counts.append(serving)
        paid.append(desired if desired > serving else serving)
        refusals.append(refused)
        total += refused
        backlogs.append(mean)
        answered = arrived - refused
        flight = 0.0
        if fast and serving:
            flight = (
                answered / STEP * (instance.latency + queueing.wait(rate, serving, instance.capacity)) + mean
            ) / serving
        meters.add(now + STEP, arrived, serving, flight)
        if total > most_refused:
            break
    return Replay(
        name, scaling, instance, np.array(rates[: len(counts)]), np.array(counts, float), np.array(paid, float),
        np.array(refusals), np.array(backlogs), list(scaler.activities),
    )  # fmt: skip


class _Meters:
    """Makes a variant's metrics out of what happens in each step."""

    def __init__(self, scaler: Scaler) -> None:
        self._scaler = scaler
        self._sums: list[tuple[str, int, list[float]]] = []
        self._fast: list[tuple[int, list[float]]] = []
        for metric, period in sorted(scaler.wants()):
            if metric == FAST_METRIC:
                self._fast.append((period, [0.0, 0.0]))
            else:
                self._sums.append((metric, period, [0.0, 0.0]))

    def add(self, end: float, arrived: float, serving: int, flight: float) -> None:
        for metric, period, total in self._sums:
            if metric == MINUTE_METRIC:
                total[0] += arrived / serving if serving else 0.0
                total[1] += serving
            else:
                total[0] += arrived if metric == "Invocations" or not serving else 0.0
                total[1] += 1
            if end % period < 1e-6:
                if total[1]:
                    self._scaler.observe(metric, period, end, total[0])
                total[0] = total[1] = 0.0
        for period, mean in self._fast:
            if serving:
                mean[0] += flight
                mean[1] += 1
            if end % period < 1e-6:
                if mean[1]:
                    self._scaler.observe(FAST_METRIC, period, end, mean[0] / mean[1])
                mean[0] = mean[1] = 0.0
