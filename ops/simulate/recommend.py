"""Finds the cheapest policy that holds a latency and a share of refused requests."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from localcloud.scaling import FAST_METRIC, MINUTE_METRIC, Assumptions, Limits
from ml.errors import KennelError
from ops.simulate import queueing
from ops.simulate.declared import Scaling
from ops.simulate.replay import STEP, Instance, Replay, replay
from ops.simulate.variants import in_flight, schedule, tracking
from ops.traffic import Traffic

COOLDOWNS = ((10.0, 10.0), (60.0, 300.0), (300.0, 300.0))  # out, in; s
_BISECTIONS = 4  # of the utilization
_MOST_INSTANCES = 1000
_MOST_MINIMUMS = 4


@dataclass(frozen=True)
class Goal:
    latency: float  # s, that 99 % of the answered requests stay below
    drops: float  # share of all requests

    def is_met(self, found: Replay) -> bool:
        return found.dropped <= self.drops + 1e-12 and found.latency(0.99) <= self.latency


@dataclass(frozen=True)
class Recommendation:
    goal: Goal
    best: Replay
    utilization: float  # of an instance at the target
    tried: int

    @property
    def target_a_minute(self) -> float:
        return self.utilization * 60 * self.best.instance.capacity

    @property
    def is_fixed(self) -> bool:
        """Whether nothing that scales holds the goal more cheaply than what never does."""
        return self.best.scaling.limits.minimum == self.best.scaling.limits.maximum


@dataclass(frozen=True)
class _Kind:
    metric: str
    cooldowns: tuple[float, float]
    limits: Limits
    scheduled: bool


def recommend(
    planned: Scaling, traffic: Traffic, instance: Instance, assumptions: Assumptions, goal: Goal
) -> Recommendation:
    """Search over metric, cooldowns, limits, schedule and target.

    Raises:
        KennelError: nothing can hold the goal.
    """
    stepped = traffic.resampled(STEP)
    peak = _instances_for(stepped.peak, instance, goal)
    search = _Search(planned, stepped, instance, assumptions, goal)
    for kind in _kinds(peak, stepped):
        search.look(kind, _BISECTIONS)
    if search.kind is not None:
        search.refine(search.kind)
    if search.best is None:
        raise KennelError(
            "Some policy holds the goal.",
            f"none of {search.tried} does: p99 {goal.latency * 1000:g} ms, {goal.drops:.3%} refused",
            "Allow more refused requests or a longer latency, or take a larger instance.",
        )
    return Recommendation(goal, search.best, search.utilization, search.tried)


def _instances_for(rate: float, instance: Instance, goal: Goal) -> int:
    """Return how many instances hold the latency at that rate for ever."""
    for count in range(1, _MOST_INSTANCES + 1):
        if rate < count * instance.capacity:
            probability, mean = queueing.waits([rate], [count], instance.capacity)
            tail = float(mean[0]) * math.log(max(1.0, float(probability[0]) * 100))
            if instance.latency + tail <= goal.latency:
                return count
    slowest = f"{instance.latency * 1000:g} ms when nothing waits"
    raise KennelError(
        "Enough instances answer within the latency asked for.",
        f"{goal.latency * 1000:g} ms; one takes {slowest}",
        "Ask for more milliseconds, or take a faster instance.",
    )


def _kinds(peak: int, traffic: Traffic) -> Iterator[_Kind]:
    """What never scales comes first: whatever scales has to be cheaper."""
    yield _Kind(MINUTE_METRIC, COOLDOWNS[-1], Limits(peak, peak), False)
    step = max(1, math.ceil((peak - 1) / _MOST_MINIMUMS))
    for minimum in range(1, peak, step):
        for scheduled in (False, True) if traffic.seconds >= 86400 else (False,):
            for metric in (MINUTE_METRIC, FAST_METRIC):
                for cooldowns in COOLDOWNS:
                    yield _Kind(metric, cooldowns, Limits(minimum, peak), scheduled)


class _Search:
    def __init__(
        self, planned: Scaling, traffic: Traffic, instance: Instance, assumptions: Assumptions, goal: Goal
    ) -> None:
        self.planned, self.traffic, self.instance = planned, traffic, instance
        self.assumptions, self.goal = assumptions, goal
        self.best: Replay | None = None
        self.kind: _Kind | None = None  # of the best
        self.utilization = 0.0  # likewise
        self.tried = 0

    def look(self, kind: _Kind, tries: int, low: float = 0.1, high: float = 1.0) -> None:
        """Find the highest utilization that holds the goal with this kind of policy."""
        able = self.instance.capacity
        least = sum(max(kind.limits.minimum, rate / able) for rate in self.traffic.rates)
        if self.best is not None and least * STEP / 3600 * self.instance.hourly_usd >= self.best.cost:
            return
        utilization = 0.85 * high
        for _ in range(tries if kind.limits.minimum < kind.limits.maximum else 1):
            found = self._try(kind, utilization)
            if self.goal.is_met(found):
                self._keep(found, utilization, kind)
                low = utilization
            else:
                high = utilization
            utilization = round((low + high) / 2, 3)

    def refine(self, best: _Kind) -> None:
        """Look closer around the best, and whether another instance at most makes it cheaper."""
        limits = best.limits
        if limits.minimum == limits.maximum:
            return
        near = self.utilization
        for most in (limits.maximum, limits.maximum + 1):
            kind = replace(best, limits=Limits(limits.minimum, most))
            self.look(kind, _BISECTIONS, near, min(1.0, near + 0.1))

    def _keep(self, found: Replay, utilization: float, kind: _Kind) -> None:
        if self.best is None or found.cost < self.best.cost - 1e-9:
            self.best, self.utilization, self.kind = found, utilization, kind

    def _try(self, kind: _Kind, utilization: float) -> Replay:
        self.tried += 1
        minute = utilization * 60 * self.instance.capacity
        target = _rounded(in_flight(minute, self.instance) if kind.metric == FAST_METRIC else minute)
        policy = tracking(target, kind.metric, *kind.cooldowns)
        actions = schedule(self.traffic, minute, kind.limits) if kind.scheduled else ()
        first = math.ceil(self.traffic.rates[0] * 60 / minute - 1e-9)
        scaling = replace(
            self.planned, limits=kind.limits, policies=(policy,), scheduled=actions,
            initial=kind.limits.clamp(first), source="recommended",
        )  # fmt: skip
        most = self.goal.drops * self.traffic.requests
        return replay("recommended", self.traffic, scaling, self.instance, self.assumptions, most)


def _rounded(value: float) -> float:
    """Three digits are enough for a target."""
    return float(f"{value:.3g}")


def as_terraform(scaling: Scaling) -> str:
    """Return the block for the stage's tfvars."""
    policy = scaling.tracking
    if policy is None:
        raise KennelError("A policy that tracks a target is written as Terraform.", "none")
    rows = [
        ("min_instances", f"{scaling.limits.minimum}"),
        ("max_instances", f"{scaling.limits.maximum}"),
        ("metric", f'"{policy.metric}"'),
        ("target", f"{policy.target:g}"),
        ("scale_out_cooldown_seconds", f"{policy.scale_out_cooldown:g}"),
        ("scale_in_cooldown_seconds", f"{policy.scale_in_cooldown:g}"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = ["autoscaling = {", *(f"  {name:{width}} = {value}" for name, value in rows)]
    if scaling.scheduled:
        wide = max(len(action.name) for action in scaling.scheduled) + 2
        lines += ["  scheduled = {"]
        lines += [
            f"    {chr(34) + action.name + chr(34):{wide}} = "
            f'{{ schedule = "{action.schedule}", min_instances = {action.minimum} }}'
            for action in scaling.scheduled
        ]
        lines += ["  }"]
    return "\n".join([*lines, "}"])
