"""What holds whatever the load and the policies."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from localcloud.scaling import FAST_METRIC, MINUTE_METRIC, Assumptions, Limits, Policy, Scaler, TargetTracking
from localcloud.scaling.activities import Activity

STEP = 10


def policies(fast: bool) -> st.SearchStrategy[TargetTracking]:
    return st.builds(
        TargetTracking,
        st.just("fast" if fast else "minute"),
        st.floats(1, 500),
        st.just(FAST_METRIC if fast else MINUTE_METRIC),
        st.sampled_from([0.0, 10.0, 60.0, 300.0, 1800.0]),
        st.sampled_from([0.0, 10.0, 60.0, 300.0, 1800.0]),
        st.booleans(),
    )


LIMITS = st.tuples(st.integers(0, 8), st.integers(0, 12)).map(lambda pair: Limits(pair[0], sum(pair)))
LOADS = st.lists(st.tuples(st.integers(1, 25), st.floats(0, 5000)), min_size=1, max_size=8)  # minutes, load
POLICIES = st.one_of(
    st.tuples(policies(False)), st.tuples(policies(True)), st.tuples(policies(False), policies(True))
)


class Course:
    """A run with all that was asked for and all that became of it."""

    def __init__(
        self,
        limits: Limits,
        given: tuple[Policy, ...],
        load: list[float],
        start: int,
        count: int | None = None,
    ) -> None:
        self.scaler = Scaler(limits, given, assumptions=Assumptions(metric_delay=0, fast_metric_delay=0))
        self.counts: list[int] = []
        self.activities: list[Activity] = []
        self.seen: dict[str, dict[str, float]] = {}  # what each metric was when an activity began
        serving = asked = limits.minimum if count is None else count
        ready = math.inf
        latest: dict[str, float] = {}
        for i, value in enumerate(load):
            now = float((i + 1) * STEP)
            if serving:
                if now % 60 == 0:
                    latest[MINUTE_METRIC] = value / serving
                    self.scaler.observe(MINUTE_METRIC, 60, now, value / serving)
                latest[FAST_METRIC] = value / serving
                self.scaler.observe(FAST_METRIC, 10, now, value / serving)
            if now >= ready:
                serving, ready = asked, math.inf
                self.scaler.complete(now)
            for activity in self.scaler.step(now, asked):
                self.activities.append(activity)
                self.seen[activity.id] = dict(latest)
                if activity.status == "InProgress":
                    asked = activity.after
                    ready = now + (start if asked > serving else STEP)
            self.counts.append(asked)

    @property
    def scalings(self) -> list[Activity]:
        return [activity for activity in self.activities if activity.after != activity.before]


def spread(load: list[tuple[int, float]]) -> list[float]:
    return [value for minutes, value in load for _ in range(minutes * 6)]


@settings(max_examples=60, deadline=None)
@given(LIMITS, POLICIES, LOADS, st.sampled_from([10, 60, 300]))
def test_the_capacity_never_leaves_the_limits(
    limits: Limits, given: tuple[TargetTracking, ...], load: list[tuple[int, float]], start: int
) -> None:
    found = Course(limits, given, spread(load), start)
    assert all(limits.minimum <= count <= limits.maximum for count in found.counts)


@settings(max_examples=60, deadline=None)
@given(POLICIES, LOADS, st.sampled_from([10, 60, 300]))
def test_no_scale_in_comes_within_its_cooldown_and_no_scale_out_unless_larger(
    given: tuple[TargetTracking, ...], load: list[tuple[int, float]], start: int
) -> None:
    found = Course(Limits(1, 40), given, spread(load), start)
    by_name = {policy.name: policy for policy in given}
    for name, policy in by_name.items():
        out_until = in_until = -math.inf
        added = 0  # by the scale-outs of the running cooldown
        for each in found.scalings:
            if each.after > each.before:
                in_until = -math.inf
            if each.policy != name:
                continue
            if each.after > each.before:
                if each.started < out_until:
                    value = found.seen[each.id][policy.metric]
                    wanted = math.ceil((each.before - added) * value / policy.target - 1e-9)
                    assert each.after == min(wanted, 40) > each.before
                    added += each.after - each.before
                else:
                    added = each.after - each.before
                if each.ended is not None:
                    out_until = each.ended + policy.scale_out_cooldown
            else:
                assert each.started >= in_until
                assert policy.scales_in
                if each.ended is not None:
                    in_until = each.ended + policy.scale_in_cooldown
                added = max(0, added + each.after - each.before)


@settings(max_examples=40, deadline=None)
@given(POLICIES, st.floats(0, 5000), st.integers(1, 40), st.sampled_from([10, 60, 290]))
def test_a_constant_load_comes_to_rest(
    given: tuple[TargetTracking, ...], value: float, count: int, start: int
) -> None:
    # A policy that only scales out is at odds with one that scales in: between them the capacity goes up and down.
    patient = tuple(TargetTracking(each.name, each.target, each.metric, 300, 300) for each in given)
    hours = Course(Limits(1, 40), patient, [value] * (6 * 60 * 3), start, count)
    late = [each for each in hours.scalings if each.started > 2 * 3600]
    assert late == []
    directions = [each.after > each.before for each in hours.scalings]
    assert sum(a != b for a, b in pairwise(directions)) <= 1  # it turns once at most


@settings(max_examples=60, deadline=None)
@given(policies(False), st.floats(0, 3000), st.floats(0, 3000), st.integers(1, 10))
def test_a_higher_load_never_asks_for_fewer_instances(
    policy: TargetTracking, one: float, other: float, count: int
) -> None:
    low, high = sorted((one, other))
    answers = []
    for value in (low, high):
        scaler = Scaler(Limits(1, 40), [policy], assumptions=Assumptions(metric_delay=0))
        for minute in range(1, 16):
            scaler.observe(MINUTE_METRIC, 60, 60.0 * minute, value)
            for watch in scaler.alarms():
                watch.look(60.0 * minute)
        made = scaler.step(901, count)
        answers.append(made[0].after if made else count)
    assert answers[0] <= answers[1]


@settings(max_examples=60, deadline=None)
@given(policies(False), st.floats(1, 3000), st.integers(2, 20))
def test_a_scale_in_leaves_the_metric_at_or_below_the_target(
    policy: TargetTracking, value: float, count: int
) -> None:
    assume(policy.scales_in)
    found = Course(Limits(1, 40), (policy,), [value] * 6 * 20, STEP, count)
    for each in found.scalings:
        if each.after < each.before:
            assert value / each.after <= policy.target * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(POLICIES, LOADS)
def test_the_same_load_gives_the_same_course(
    given: tuple[TargetTracking, ...], load: list[tuple[int, float]]
) -> None:
    one, other = (Course(Limits(1, 20), given, spread(load), 60) for _ in range(2))
    assert [vars(each) for each in one.activities] == [vars(each) for each in other.activities]
