from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from localcloud.scaling import (
    FAST_METRIC,
    MINUTE_METRIC,
    Activity,
    Alarm,
    Assumptions,
    Limits,
    Policy,
    Reason,
    Scaler,
    ScheduledAction,
    Step,
    StepScaling,
    Suspended,
    TargetTracking,
)

NOW = Assumptions(
    metric_delay=0, fast_metric_delay=0
)  # datapoints are seen at once: easier to compute by hand


@dataclass
class Variant:
    """Carries out what the scaler asks for, `start` seconds after it asked; time goes in steps of ten seconds."""

    scaler: Scaler
    load: Callable[[float], float]  # requests a minute, or in flight, of all instances together
    count: int = 1
    start: float = 120
    metric: str = MINUTE_METRIC
    period: int = 60
    blocked: Callable[[float], bool] = lambda _: False
    time: float = 0
    asked: int = field(init=False)
    done: list[tuple[float, int, int]] = field(default_factory=list)
    refused: list[tuple[float, Reason]] = field(default_factory=list)
    _ready: float | None = None

    def __post_init__(self) -> None:
        self.asked = self.count

    def run(self, until: float) -> Variant:
        while self.time < until:
            self.time += 10
            if self.time % self.period == 0 and self.count:
                self.scaler.observe(self.metric, self.period, self.time, self.load(self.time) / self.count)
            if self._ready is not None and self.time >= self._ready:
                self.count, self._ready = self.asked, None
                self.scaler.complete(self.time)
            for activity in self.scaler.step(self.time, self.asked, self.blocked(self.time)):
                self._take(activity)
        return self

    def _take(self, activity: Activity) -> None:
        if activity.status == "InProgress":
            self.done.append((self.time, activity.before, activity.after))
            self.asked = activity.after
            self._ready = self.time + (self.start if self.asked > self.count else 10)
        self.refused += [(self.time, reason) for reason in activity.reasons]


def tracking(
    out: float = 0, back: float = 0, target: float = 100, name: str = "tt", **other: object
) -> TargetTracking:
    return TargetTracking(name, target, scale_out_cooldown=out, scale_in_cooldown=back, **other)  # type: ignore[arg-type]


TEN = Limits(1, 10)


def variant(
    policies: Iterable[Policy], load: Callable[[float], float], limits: Limits = TEN, **other: object
) -> Variant:
    return Variant(Scaler(limits, policies, assumptions=NOW), load, **other)  # type: ignore[arg-type]


def steady(value: float) -> Callable[[float], float]:
    return lambda _: value


# time  datapoints of an instance   asks for
# 180   250 250 250                 ceil(1 × 2.50) = 3; there at 300
# 360   83.3                        above no more; 15 of these are below 90 at 1200: ceil(3 × 0.833) = 3, and so stays
def test_it_scales_out_by_proportion_rounded_up() -> None:
    found = variant([tracking(out=60)], steady(250)).run(1190)
    assert found.done == [(180, 1, 3)]


def test_it_scales_out_no_further_than_the_maximum_and_says_so() -> None:
    found = variant([tracking()], steady(5000), Limits(1, 4)).run(600)
    assert found.done == [(180, 1, 4)]
    assert found.refused == [(300, Reason("AlreadyAtMaxCapacity", maximum=4))]
    assert found.refused[0][1].to_dict() == {"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 4}


# time  datapoints of an instance   asks for
# 900   15 × 25 (100 / 4)           ceil(4 × 0.25) = 1
def test_it_scales_in_after_fifteen_minutes_to_what_the_metric_asks_for() -> None:
    found = variant([tracking()], steady(100), count=4).run(900)
    assert found.done == [(900, 4, 1)]


# 900   15 × 85 (170 / 2)           ceil(2 × 0.85) = 2: one instance would get 170
def test_it_does_not_scale_in_where_it_would_have_to_scale_out_again() -> None:
    found = variant([tracking()], steady(170), count=2).run(3000)
    assert found.done == []
    assert found.refused == [(900, Reason("AutoScalingAnticipatedFlapping", capacity=2))]


# Between 0.9 and 1 times the target neither alarm rings.
def test_it_stays_where_the_metric_is_near_the_target() -> None:
    found = variant([tracking()], steady(4 * 92), count=4).run(3600)
    assert (found.done, found.refused) == ([], [])


def test_it_scales_in_to_the_minimum_without_traffic_and_then_says_why_not_further() -> None:
    found = variant([tracking()], steady(0), Limits(2, 10), count=5).run(1200)
    assert found.done == [(900, 5, 2)]
    assert found.refused == [(960, Reason("AlreadyAtMinCapacity", minimum=2))]


def test_it_does_not_scale_without_data() -> None:
    scaler = Scaler(Limits(1, 10), [tracking()], assumptions=NOW)
    assert [scaler.step(second, 5) for second in range(0, 3600, 10)] == [[]] * 360
    assert {watch.state for watch in scaler.alarms()} == {"INSUFFICIENT_DATA"}


# time  an instance   asks for
# 180   250           3, there at 300; the cooldown lasts until 600
# 360   200 (600)     from the capacity before: ceil(1 × 2.00) = 2, not larger than 3
# 480   300 (900)     ceil(1 × 3.00) = 3, not larger
# 600   300           the cooldown is over: ceil(3 × 3.00) = 9
def test_in_a_cooldown_the_same_scale_out_does_not_pass_again() -> None:
    def load(time: float) -> float:
        return 250 if time <= 300 else 600 if time <= 420 else 900

    assert variant([tracking(out=300)], load).run(620).done == [(180, 1, 3), (600, 3, 9)]


# 180   250           3, there at 300; the cooldown lasts until 600
# 360   500 (1500)    from the capacity before: ceil(1 × 5.00) = 5: larger, and so 2 are added to the 3
def test_in_a_cooldown_a_larger_scale_out_passes_less_what_was_added() -> None:
    def load(time: float) -> float:
        return 250 if time <= 300 else 1500

    assert variant([tracking(out=300)], load).run(480).done == [(180, 1, 3), (360, 3, 5)]


# 180   250           3, there at 300
# 300   250           measured on one instance; from what there is: ceil(3 × 2.50) = 8
def test_a_cooldown_can_be_taken_to_count_from_what_there_is() -> None:
    assumed = Assumptions(metric_delay=0, cooldown_base="now")
    scaler = Scaler(Limits(1, 10), [tracking(out=300)], assumptions=assumed)
    assert Variant(scaler, steady(250)).run(400).done == [(180, 1, 3), (300, 3, 8)]


# 900   36            ceil(10 × 0.36) = 4, done at 910; the alarm lasts and asks every minute, the cooldown until 1210
# 1260  25            ceil(4 × 0.25) = 1
def test_in_a_cooldown_it_does_not_scale_in() -> None:
    def load(time: float) -> float:
        return 100 if time > 900 else 360

    assert variant([tracking(back=300)], load, count=10).run(1500).done == [(900, 10, 4), (1260, 4, 1)]


# 900   10 × 36 → 4, done at 910; its cooldown would last until 4510
# 1080  4 × 200 → 8, there at 1200: ends that cooldown
# 2160  8 × 12.5, 15 minutes of it → 1
def test_a_scale_out_ends_the_cooldown_of_a_scale_in() -> None:
    def load(time: float) -> float:
        return 360 if time <= 900 else 800 if time <= 1260 else 100

    found = variant([tracking(out=60, back=3600)], load, count=10).run(2400)
    assert found.done == [(900, 10, 4), (1080, 4, 8), (2160, 8, 1)]


def test_a_failed_scale_out_starts_no_cooldown() -> None:
    scaler = Scaler(Limits(1, 10), [tracking(out=3600)], assumptions=NOW)
    for minute in (1, 2, 3):
        scaler.observe(MINUTE_METRIC, 60, 60.0 * minute, 250)
    [first] = scaler.step(180, 1)
    ended = scaler.complete(200, "no capacity")
    assert ended is first
    assert (first.status, first.message, first.ended) == ("Failed", "no capacity", 200)
    scaler.observe(MINUTE_METRIC, 60, 240, 250)
    [second] = scaler.step(240, 1)
    assert (second.before, second.after, second.id != first.id) == (1, 3, True)


def test_nothing_else_scales_while_an_activity_is_in_progress() -> None:
    found = variant([tracking()], lambda time: 100 + time, start=10_000).run(3000)
    assert len(found.done) == 1


def test_it_does_not_scale_while_the_endpoint_is_updated_and_does_afterwards() -> None:
    found = variant([tracking(out=60)], steady(250), blocked=lambda time: time <= 400).run(600)
    assert found.refused == [(180, Reason("TargetServicePutResourceAsUnscalable"))]
    assert found.done == [(420, 1, 3)]


@pytest.mark.parametrize(
    ("load", "suspended", "moves"),
    [
        (250, Suspended(scale_out=True), (1200, 1, 3)),
        (0, Suspended(scale_in=True), (1200, 5, 1)),
    ],
)
def test_what_is_suspended_does_not_scale_and_does_once_it_goes_on(
    load: float, suspended: Suspended, moves: tuple[float, int, int]
) -> None:
    found = variant([tracking()], steady(load), count=moves[1])
    found.scaler.suspended = suspended
    assert (found.run(1190).done, found.refused) == ([], [])
    found.scaler.suspended = Suspended()
    assert found.run(1200).done == [moves]


def test_the_other_direction_scales_while_one_is_suspended() -> None:
    found = variant([tracking()], steady(250))
    found.scaler.suspended = Suspended(scale_in=True, scheduled=True)
    assert found.run(200).done == [(180, 1, 3)]


def test_a_new_minimum_or_maximum_scales_at_once_and_is_the_cause() -> None:
    scaler = Scaler(Limits(1, 10), assumptions=NOW)
    scaler.set_limits(Limits(3, 10))
    [raised] = scaler.step(10, 1)
    scaler.complete(20)
    scaler.set_limits(Limits(1, 2))
    [lowered] = scaler.step(30, 3)
    assert (raised.cause, raised.after, raised.description) == (
        "minimum capacity was set to 3", 3, "Setting desired instance count to 3.",
    )  # fmt: skip
    assert (lowered.cause, lowered.after) == ("maximum capacity was set to 2", 2)
    assert raised.message == (
        "Successfully set desired instance count to 3. Change successfully fulfilled by sagemaker."
    )


def test_a_policy_that_may_not_scale_in_never_does() -> None:
    found = variant([tracking(scales_in=False)], steady(0), count=5).run(3600)
    assert found.done == []
    assert [watch.alarm.comparison for watch in found.scaler.alarms()] == ["GreaterThanThreshold"]


def test_the_largest_capacity_of_several_policies_wins() -> None:
    found = variant([tracking(name="a"), tracking(name="b", target=50)], steady(250)).run(200)
    assert found.done == [(180, 1, 5)]  # ceil(250 / 50)
    assert found.scaler.activities[-1].policy == "b"


# Of 4 instances with 45 each, a (target 100) wants to go in to 2, b (target 47) has 45 > 0.9 × 47 = 42.3.
def test_it_scales_in_only_where_all_policies_are_ready_to() -> None:
    a, b = tracking(name="a"), tracking(name="b", target=47)
    assert variant([a], steady(180), count=4).run(1200).done == [(900, 4, 2)]
    assert variant([a, b], steady(180), count=4).run(1200).done == []
    without = tracking(name="b", target=47, scales_in=False)
    assert variant([a, without], steady(180), count=4).run(960).done == [(900, 4, 2)]


# Both are ready: a asks for 2 (ceil(4 × 0.45)), b (target 60) for 3 (ceil(4 × 0.75)).
def test_of_several_scale_ins_the_largest_capacity_wins() -> None:
    a, b = tracking(name="a"), tracking(name="b", target=60)
    assert variant([a, b], steady(180), count=4).run(1000).done == [(900, 4, 3)]


# 30    3 × 10 s above 5            ceil(1 × 12 / 5) = 3
def test_the_high_resolution_metric_scales_out_within_half_a_minute() -> None:
    policy = TargetTracking("fast", 5, FAST_METRIC, 0, 0)
    found = variant([policy], steady(12), metric=FAST_METRIC, period=10).run(100)
    assert found.done == [(30, 1, 3)]


# 900   90 × 10 s below 4.5
def test_the_high_resolution_metric_scales_in_as_slowly_as_the_other() -> None:
    policy = TargetTracking("fast", 5, FAST_METRIC, 0, 0)
    found = variant([policy], steady(4), metric=FAST_METRIC, period=10, count=4).run(1000)
    assert found.done == [(900, 4, 1)]


STEPS = (Step(1, 0, 100), Step(2, 100, 300), Step(5, 300, None))


def stepping(cooldown: float = 0, steps: tuple[Step, ...] = STEPS, **other: object) -> StepScaling:
    alarm = Alarm("above", MINUTE_METRIC, "GreaterThanThreshold", 100, 60, 1, 1)
    return StepScaling("steps", (alarm,), steps, cooldown=cooldown, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "added"), [(101, 1), (199, 1), (200, 2), (399, 2), (400, 5), (9000, 5), (100, 0)]
)
def test_a_step_belongs_to_its_distance_from_the_threshold(value: float, added: int) -> None:
    found = variant([stepping()], steady(value)).run(70)
    assert [after - before for _, before, after in found.done] == ([added] if added else [])


# 60    150: a distance of 50, and so + 1, there at 180; the cooldown lasts until 480
# 240   300: a distance of 200, and so + 2, from the one that there was: 3. One is added
def test_a_larger_step_passes_the_cooldown_less_what_was_added() -> None:
    def load(time: float) -> float:
        return 150 if time <= 180 else 600

    found = variant([stepping(300, (Step(1, 0, 100), Step(2, 100, None)))], load).run(300)
    assert found.done == [(60, 1, 2), (240, 2, 3)]


@pytest.mark.parametrize(
    ("adjustment", "step", "least", "before", "after"),
    [
        ("ChangeInCapacity", 3, 1, 4, 7),
        ("ChangeInCapacity", -9, 1, 4, 1),  # the minimum
        ("ExactCapacity", 6, 1, 4, 6),
        ("PercentChangeInCapacity", 50, 1, 5, 7),  # 2.5 is 2
        ("PercentChangeInCapacity", 10, 1, 4, 5),  # 0.4 is 1
        ("PercentChangeInCapacity", -10, 1, 4, 3),  # -0.4 is -1
        ("PercentChangeInCapacity", -40, 1, 9, 6),  # -3.6 is -3
        ("PercentChangeInCapacity", 10, 3, 4, 7),  # but 3 at least
    ],
)
def test_steps_adjust_as_documented(adjustment: str, step: int, least: int, before: int, after: int) -> None:
    policy = stepping(steps=(Step(step, 0, None),), adjustment=adjustment, least=least)
    found = variant([policy], steady(200 * before), count=before).run(70)
    assert found.done == [(60, before, after)]


def test_a_step_below_the_threshold_scales_in() -> None:
    alarm = Alarm("below", MINUTE_METRIC, "LessThanThreshold", 50, 60, 2, 2)
    policy = StepScaling("in", (alarm,), (Step(-1, None, 0),), cooldown=120)
    found = variant([policy], steady(100), count=4).run(600)
    # 25 and 33.3 are below 50, 50 is not; each ends 10 s after it began, and 120 s pass
    assert found.done == [(120, 4, 3), (300, 3, 2)]


def test_a_scheduled_action_moves_the_limits_and_then_the_capacity() -> None:
    action = ScheduledAction("morning", "at(1970-01-01T00:05:00)", minimum=3, maximum=5)
    scaler = Scaler(Limits(1, 4), scheduled=[action], assumptions=NOW)
    assert scaler.step(299, 1) == []
    moved, raised = scaler.step(301, 1)
    assert (moved.cause, moved.description, moved.message, moved.status) == (
        "scheduled action name morning was triggered",
        "Setting min capacity to 3 and max capacity to 5",
        "Successfully set min capacity to 3 and max capacity to 5",
        "Successful",
    )
    assert (raised.cause, raised.after) == ("minimum capacity was set to 3", 3)
    assert scaler.limits == Limits(3, 5)


def test_a_scheduled_minimum_above_the_maximum_takes_it_along() -> None:
    assert ScheduledAction("a", "rate(1 day)", minimum=6).applied_to(Limits(1, 4)) == Limits(6, 6)
    assert ScheduledAction("a", "rate(1 day)", maximum=2).applied_to(Limits(3, 4)) == Limits(2, 2)


def test_the_alarms_are_those_that_aws_makes() -> None:
    scaler = Scaler(Limits(1, 4), [tracking(target=80)], resource="endpoint/dogs/variant/main")
    high, low = (watch.alarm for watch in scaler.alarms("tt"))
    assert high.name.startswith("TargetTracking-endpoint/dogs/variant/main-AlarmHigh-")
    assert low.name.startswith("TargetTracking-endpoint/dogs/variant/main-AlarmLow-")
    assert (high.comparison, high.threshold, high.evaluation_periods, high.period) == (
        "GreaterThanThreshold", 80, 3, 60,
    )  # fmt: skip
    assert (low.comparison, low.threshold, low.evaluation_periods) == ("LessThanThreshold", 72, 15)


def test_an_activity_names_the_alarm_that_caused_it() -> None:
    found = variant([tracking()], steady(250)).run(180)
    name = found.scaler.alarms("tt")[0].alarm.name
    assert found.scaler.activities[-1].cause == f"monitor alarm {name} in state ALARM triggered policy tt"


def test_policies_and_schedules_can_be_replaced_and_deleted() -> None:
    scaler = Scaler(Limits(1, 4), [tracking()], [ScheduledAction("a", "rate(1 minute)", minimum=2)])
    scaler.put_policy(tracking(target=50))
    assert [policy.target for policy in scaler.policies if isinstance(policy, TargetTracking)] == [50]
    scaler.delete_policy("tt")
    scaler.delete_scheduled("a")
    assert (scaler.alarms(), scaler.wants(), scaler.scheduled, scaler.step(600, 1)) == ([], set(), [], [])


# 8 × 22, below 0.9 of both targets: ceil(176 / 26) = 7, and on another beat ceil(176 / 25) = 8
def test_policies_on_different_metrics_agree_before_they_scale_in() -> None:
    scaler = Scaler(
        TEN, [tracking(target=25), TargetTracking("fast", 26, FAST_METRIC, 0, 0)], assumptions=NOW
    )
    made = []
    for second in range(10, 1800, 10):
        scaler.observe(FAST_METRIC, 10, second, 22)
        if second % 60 == 0:
            scaler.observe(MINUTE_METRIC, 60, second, 22)
        made += scaler.step(second, 8)
    assert {(each.after, each.reasons) for each in made} == {
        (8, (Reason("AutoScalingAnticipatedFlapping", capacity=8),))
    }
