"""Decides how many instances a variant should have, and says why, as Application Auto Scaling does."""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from localcloud.scaling.activities import Activity, Reason
from localcloud.scaling.alarms import Alarm, Watch
from localcloud.scaling.assumptions import Assumptions
from localcloud.scaling.policies import (
    Limits,
    Policy,
    ScheduledAction,
    StepScaling,
    Suspended,
    TargetTracking,
)
from localcloud.scaling.schedule import Next, times

_KEPT_ACTIVITIES = 1000


@dataclass
class _Tracked:
    """A policy with its alarms and the cooldowns that its own scaling began."""

    policy: Policy
    watches: list[Watch]
    out_until: float = -math.inf
    added: int = 0  # by the scale-outs of the running cooldown
    in_until: float = -math.inf
    refused: tuple[str, Reason] | None = None  # what was told last: it is told once


@dataclass(frozen=True)
class _Wish:
    tracked: _Tracked
    alarm: Alarm
    capacity: int


@dataclass
class _Scheduled:
    action: ScheduledAction
    following: Next
    due: float | None = field(default=None)


class Scaler:
    """One scalable target. `observe` what was measured, `step` often, carry out what it returns, tell it the end.

    An activity in progress that `step` returns asks for `activity.after` instances; `complete` says that they are
    there, or that they will not come. Until then nothing else scales.
    """

    def __init__(
        self,
        limits: Limits,
        policies: Iterable[Policy] = (),
        scheduled: Iterable[ScheduledAction] = (),
        assumptions: Assumptions | None = None,
        *,
        resource: str = "endpoint/endpoint/variant/variant",
        now: float = 0.0,
    ) -> None:
        self.limits = limits
        self.assumptions = assumptions or Assumptions()
        self.resource = resource
        self.suspended = Suspended()
        self.activities: deque[Activity] = deque(maxlen=_KEPT_ACTIVITIES)  # the newest last
        self._tracked: dict[str, _Tracked] = {}
        self._scheduled: dict[str, _Scheduled] = {}
        self._listeners: dict[tuple[str, int], list[Watch]] = {}
        self._current: Activity | None = None
        self._made, self._registered = 0, now
        for policy in policies:
            self.put_policy(policy)
        for action in scheduled:
            self.put_scheduled(action, now)

    @property
    def policies(self) -> list[Policy]:
        return [tracked.policy for tracked in self._tracked.values()]

    @property
    def scheduled(self) -> list[ScheduledAction]:
        return [scheduled.action for scheduled in self._scheduled.values()]

    @property
    def in_progress(self) -> Activity | None:
        return self._current

    def alarms(self, policy: str | None = None) -> list[Watch]:
        """Return the alarms of one policy, or of all, with their states."""
        tracked = self._tracked.values() if policy is None else [self._tracked[policy]]
        return [watch for each in tracked for watch in each.watches]

    def set_limits(self, limits: Limits) -> None:
        """Take another minimum and maximum; the next step scales where the capacity is outside."""
        self.limits = limits

    def put_policy(self, policy: Policy) -> None:
        """Add the policy, or put it in the place of the one of that name; its alarms begin anew."""
        watches = self._watches(policy)
        before = self._tracked.get(policy.name)
        self._tracked[policy.name] = tracked = _Tracked(policy, watches)
        if before is not None:
            tracked.out_until, tracked.added, tracked.in_until = (
                before.out_until,
                before.added,
                before.in_until,
            )
        self._index()

    def delete_policy(self, name: str) -> None:
        del self._tracked[name]
        self._index()

    def put_scheduled(self, action: ScheduledAction, now: float) -> None:
        """Add the scheduled action, or put it in the place of the one of that name."""
        scheduled = _Scheduled(action, times(action, now))
        scheduled.due = scheduled.following(now)
        self._scheduled[action.name] = scheduled

    def delete_scheduled(self, name: str) -> None:
        del self._scheduled[name]

    def wants(self) -> set[tuple[str, int]]:
        """Return the metrics that some alarm watches, each with its period in seconds."""
        return set(self._listeners)

    def observe(self, metric: str, period: int, end: float, value: float) -> None:
        """Take what a metric was in the period that ended at `end`."""
        for watch in self._listeners.get((metric, period), ()):
            watch.put(end, value)

    def step(self, now: float, capacity: int, blocked: bool = False) -> list[Activity]:
        """Return the activities that begin now; `capacity` is what was asked for last, `blocked` an update."""
        made: list[Activity] = []
        for scheduled in self._scheduled.values():
            if scheduled.due is not None and scheduled.due <= now:
                if self.suspended.scheduled:
                    scheduled.due = scheduled.following(now)
                else:
                    made.append(self._apply(scheduled, now, capacity))
        wishes, refusals = self._look(now, capacity)
        wishes = [
            wish
            for wish in wishes
            if not (self.suspended.scale_out if wish.capacity > capacity else self.suspended.scale_in)
        ]
        if self._current is not None:
            return made
        if blocked:
            asking = [*wishes, *(wish for wish, _ in refusals)]
            return made + self._refuse(
                now, capacity, [(wish, Reason("TargetServicePutResourceAsUnscalable")) for wish in asking]
            )
        if capacity != (bounded := self.limits.clamp(capacity)):
            side = "minimum" if bounded > capacity else "maximum"
            return [*made, self._begin(now, f"{side} capacity was set to {bounded}", capacity, bounded, None)]
        if not wishes:
            return made + self._refuse(now, capacity, refusals)
        wish = max(wishes, key=lambda wish: wish.capacity)  # and so out wherever any says so
        wish.tracked.refused = None
        cause = _cause(wish)
        return [*made, self._begin(now, cause, capacity, wish.capacity, wish.tracked.policy.name)]

    def complete(self, now: float, error: str | None = None) -> Activity | None:
        """Say that the activity in progress has come to its end; return it."""
        activity, self._current = self._current, None
        if activity is None:
            return None
        activity.ended = now
        activity.status = "Failed" if error is not None else "Successful"
        activity.message = error or (
            f"Successfully set desired instance count to {activity.after}. Change successfully fulfilled by sagemaker."
        )
        if error is None and activity.policy in self._tracked:
            self._cool_down(self._tracked[activity.policy], activity, now)
        return activity

    def _cool_down(self, tracked: _Tracked, activity: Activity, now: float) -> None:
        policy, change = tracked.policy, activity.after - activity.before
        if change > 0:
            tracked.added = change + (tracked.added if activity.started < tracked.out_until else 0)
            tracked.out_until = now + (
                policy.scale_out_cooldown if isinstance(policy, TargetTracking) else policy.cooldown
            )
            return
        tracked.added = max(0, tracked.added + change)
        tracked.in_until = now + (
            policy.scale_in_cooldown if isinstance(policy, TargetTracking) else policy.cooldown
        )

    def _begin(self, now: float, cause: str, before: int, after: int, policy: str | None) -> Activity:
        if after > before:
            for tracked in self._tracked.values():
                tracked.in_until = -math.inf
        text = f"Setting desired instance count to {after}."
        self._current = self._record(
            Activity(self._id(), cause, text, before, after, now, "InProgress", policy=policy)
        )
        return self._current

    def _apply(self, scheduled: _Scheduled, now: float, capacity: int) -> Activity:
        """Carry out a scheduled action, once however many times of it have passed."""
        scheduled.due = scheduled.following(now)
        self.limits = scheduled.action.applied_to(self.limits)
        text = f"min capacity to {self.limits.minimum} and max capacity to {self.limits.maximum}"
        return self._record(
            Activity(
                self._id(), f"scheduled action name {scheduled.action.name} was triggered", f"Setting {text}",
                capacity, capacity, now, "Successful", f"Successfully set {text}", now,
            )
        )  # fmt: skip

    def _look(self, now: float, capacity: int) -> tuple[list[_Wish], list[tuple[_Wish, Reason]]]:
        """Return what the alarms that fire now ask for, and what of it must not be."""
        wishes: list[_Wish] = []
        refusals: list[tuple[_Wish, Reason]] = []
        firing = []
        for tracked in self._tracked.values():
            for watch in tracked.watches:
                watch.look(now)
                if watch.fires(now):
                    firing.append((tracked, watch))
        for tracked, watch in firing:
            low = _is_low(tracked, watch)
            wanted = self._agreed(now, capacity) if low else self._wanted(tracked, watch, now, capacity)
            if wanted is None:
                continue
            wish = _Wish(tracked, watch.alarm, self.limits.clamp(wanted))
            if wish.capacity != capacity:
                wishes.append(wish)
            elif wanted > capacity:
                refusals.append((wish, Reason("AlreadyAtMaxCapacity", maximum=self.limits.maximum)))
            elif wanted < capacity or (low and capacity <= self.limits.minimum):
                refusals.append((wish, Reason("AlreadyAtMinCapacity", minimum=self.limits.minimum)))
            else:
                code = "AutoScalingAnticipatedFlapping" if low else "AlreadyAtDesiredCapacity"
                refusals.append((wish, Reason(code, capacity=capacity)))
        return wishes, refusals

    def _wanted(self, tracked: _Tracked, watch: Watch, now: float, capacity: int) -> int | None:
        """Return the capacity that an alarm asks for; None where its cooldown keeps it from asking."""
        policy, values = tracked.policy, watch.values
        if not values:
            return None
        cooling = now < tracked.out_until
        base = capacity
        if cooling and (self.assumptions.cooldown_base == "before" or isinstance(policy, StepScaling)):
            base = max(0, capacity - tracked.added)
        if isinstance(policy, StepScaling):
            distance = values[-1] - watch.alarm.threshold
            above = watch.alarm.comparison.startswith("Greater")
            plain = policy.wanted(capacity, distance, above)
            if plain < capacity:
                return None if now < tracked.in_until else plain
            wanted = policy.wanted(base, distance, above)
            return None if cooling and wanted <= capacity else wanted
        value = values[-1] if self.assumptions.proportion_from == "latest" else sum(values) / len(values)
        if _is_low(tracked, watch):
            if now < tracked.in_until:
                return None
            wanted = _proportional(capacity, value, policy.target)
            limit = self.assumptions.scale_in_limit
            return min(capacity, max(wanted, capacity - limit) if limit else wanted)
        wanted = max(_proportional(base, value, policy.target), 0 if cooling else capacity)
        return None if cooling and wanted <= capacity else wanted

    def _agreed(self, now: float, capacity: int) -> int | None:
        """Return the capacity that all target tracking agrees to scale in to; None where some of it is not ready."""
        wanted = 0
        for tracked in self._tracked.values():
            if isinstance(tracked.policy, TargetTracking) and tracked.policy.scales_in:
                low = tracked.watches[-1]
                own = self._wanted(tracked, low, now, capacity) if low.state == "ALARM" else None
                if own is None:
                    return None
                wanted = max(wanted, own)
        return wanted

    def _refuse(self, now: float, capacity: int, refusals: list[tuple[_Wish, Reason]]) -> list[Activity]:
        made = []
        for wish, reason in refusals:
            if wish.tracked.refused == (wish.alarm.name, reason):
                continue
            wish.tracked.refused = (wish.alarm.name, reason)
            made.append(
                self._record(
                    Activity(
                        self._id(), _cause(wish), "Attempting to scale due to alarm triggered",
                        capacity, capacity, now, "Failed", "", now, wish.tracked.policy.name, (reason,),
                    )
                )
            )  # fmt: skip
        return made

    def _watches(self, policy: Policy) -> list[Watch]:
        assumed = self.assumptions
        if isinstance(policy, StepScaling):
            return [Watch(alarm, assumed.delay(alarm.period)) for alarm in policy.alarms]
        high = assumed.fast_high_points if policy.is_fast else assumed.high_points
        low = assumed.fast_low_points if policy.is_fast else assumed.low_points
        alarms = [self._alarm(policy, "High", "GreaterThanThreshold", policy.target, high)]
        if policy.scales_in:
            alarms.append(
                self._alarm(policy, "Low", "LessThanThreshold", policy.target * assumed.low_share, low)
            )
        return [Watch(alarm, assumed.delay(policy.period)) for alarm in alarms]

    def _alarm(
        self, policy: TargetTracking, side: str, comparison: str, threshold: float, points: int
    ) -> Alarm:
        mark = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.resource}/{policy.name}/{side}")
        name = f"TargetTracking-{self.resource}-Alarm{side}-{mark}"
        statistic = "Average" if policy.is_fast else "Sum"
        return Alarm(
            name, policy.metric, comparison, threshold, policy.period, points, points, statistic=statistic
        )

    def _index(self) -> None:
        self._listeners = {}
        for watch in self.alarms():
            self._listeners.setdefault((watch.alarm.metric, watch.alarm.period), []).append(watch)

    def _id(self) -> str:
        self._made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.resource}#{self._registered}#{self._made}"))

    def _record(self, activity: Activity) -> Activity:
        self.activities.append(activity)
        return activity


def _proportional(capacity: int, value: float, target: float) -> int:
    return math.ceil(capacity * value / target - 1e-9)  # 2 × 150 / 100 is 3, also in binary fractions


def _is_low(tracked: _Tracked, watch: Watch) -> bool:
    return isinstance(tracked.policy, TargetTracking) and watch.alarm.comparison == "LessThanThreshold"


def _cause(wish: _Wish) -> str:
    return f"monitor alarm {wish.alarm.name} in state ALARM triggered policy {wish.tracked.policy.name}"
