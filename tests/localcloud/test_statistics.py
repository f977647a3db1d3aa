from __future__ import annotations

import random

import pytest

from localcloud.clock import Clock
from localcloud.errors import CloudError
from localcloud.sagemaker.capacity import Capacity, from_environment
from localcloud.statistics import StatisticSet, is_statistic, merged


def statistics(values: list[float]) -> StatisticSet:
    found = StatisticSet()
    for value in values:
        found.add(value)
    return found


@pytest.mark.parametrize("share", [0, 1, 50, 90, 99, 99.9, 100])
def test_a_percentile_is_off_by_one_percent_at_most(share: float) -> None:
    draw = random.Random(1)  # noqa: S311 - no secret
    values = (
        [draw.lognormvariate(3, 2) for _ in range(4000)] + [-draw.random() for _ in range(500)] + [0.0] * 9
    )
    draw.shuffle(values)
    exact = sorted(values)[int(share / 100 * (len(values) - 1))]
    halves = [statistics(values[:1000]), statistics(values[1000:])]
    whole = merged(halves)
    assert whole is not None
    assert whole.get(f"p{share}") == pytest.approx(exact, rel=0.0101)


def test_of_nothing_there_is_no_statistic() -> None:
    assert StatisticSet().get("Average") is None
    assert merged([None]) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [("Sum", True), ("p99", True), ("p99.99", True), ("p100", True), ("p101", False), ("tm90", False)],
)
def test_statistics_are_known_by_their_names(name: str, known: bool) -> None:
    assert is_statistic(name) is known


def test_minutes_of_a_fast_clock_begin_with_those_of_the_real_one() -> None:
    clock = Clock(speed=7, origin=1_000_000_003)
    for minute in (16_666_667, 16_666_700):
        assert clock.at(minute * 60) % 60 == 0
        assert clock.real(clock.at(minute * 60 + 7)) == pytest.approx(minute * 60 + 7)


def test_there_are_so_many_instances_of_a_type() -> None:
    capacity = from_environment({"LOCALCLOUD_ENDPOINT_INSTANCES": "1"})
    assert [capacity.take("a"), capacity.take("a"), capacity.take("b")] == [True, False, True]
    capacity.give_back("a")
    assert capacity.take("a")
    assert isinstance(from_environment({}), Capacity)
    with pytest.raises(CloudError, match="LOCALCLOUD_ENDPOINT_INSTANCES must be a whole number") as caught:
        from_environment({"LOCALCLOUD_ENDPOINT_INSTANCES": "-1"})
    assert caught.value.received == "-1"
