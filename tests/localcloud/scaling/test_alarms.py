from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.scaling.alarms import Alarm, Missing, State, Watch, evaluate

# The two tables of "Configuring how CloudWatch alarms treat missing data": 0 does not breach, X does, - is missing; the
# newest is on the right. N is 3, and 5 datapoints are looked at.
THREE_OF_THREE = """
0 - X - X | OK                | OK     | OK    | OK
0 - - - - | OK                | OK     | OK    | OK
- - - - - | INSUFFICIENT_DATA | retain | ALARM | OK
0 X X - X | ALARM             | ALARM  | ALARM | ALARM
- - X - - | ALARM             | retain | ALARM | OK
"""
TWO_OF_THREE = """
0 - X - X | ALARM             | ALARM  | ALARM | ALARM
0 0 X 0 X | ALARM             | ALARM  | ALARM | ALARM
0 - X - - | OK                | OK     | ALARM | OK
- - - - 0 | OK                | OK     | ALARM | OK
- - - X - | ALARM             | retain | ALARM | OK
"""
# And the text below them: three of three do not go into alarm yet.
PREMATURE = """
- - - - X | OK                | retain | ALARM | OK
- - - X - | OK                | retain | ALARM | OK
"""
TREATMENTS: tuple[Missing, ...] = ("missing", "ignore", "breaching", "notBreaching")


def _points(text: str) -> list[bool | None]:
    return [{"0": False, "X": True, "-": None}[mark] for mark in text.split()]


@pytest.mark.parametrize("before", ["OK", "ALARM", "INSUFFICIENT_DATA"])
@pytest.mark.parametrize(
    ("to_alarm", "row"),
    [
        *((3, row) for row in THREE_OF_THREE.strip().splitlines()),
        *((2, row) for row in TWO_OF_THREE.strip().splitlines()),
    ],
)
def test_missing_data_is_treated_as_documented(to_alarm: int, row: str, before: State) -> None:
    marks, *expected = (cell.strip() for cell in row.split("|"))
    found = [evaluate(_points(marks), 3, to_alarm, treatment, before) for treatment in TREATMENTS]
    assert found == [before if state == "retain" else state for state in expected]


@pytest.mark.parametrize("row", PREMATURE.strip().splitlines())
@pytest.mark.parametrize("treatment", ["missing", "notBreaching"])
def test_a_fresh_breach_after_silence_is_no_alarm_yet(row: str, treatment: Missing) -> None:
    marks = row.split("|")[0]
    assert evaluate(_points(marks), 3, 3, treatment, "OK") == "OK"


def _alarm(points: int = 3, period: int = 60) -> Alarm:
    return Alarm("a", "m", "GreaterThanThreshold", 100, period, points, points)


def test_an_alarm_needs_all_of_its_datapoints() -> None:
    watch = Watch(_alarm())
    states = []
    for minute, value in enumerate([120, 120, 90, 120, 120, 120, 90], start=1):
        watch.put(60.0 * minute, value)
        watch.look(60.0 * minute)
        states.append(watch.state)
    assert states == ["OK", "OK", "OK", "OK", "OK", "ALARM", "OK"]


def test_a_datapoint_counts_when_it_is_seen() -> None:
    watch = Watch(_alarm(1), delay=60)
    watch.put(60, 120)
    watch.look(119)
    assert watch.state == "INSUFFICIENT_DATA"
    watch.look(120)
    assert watch.state == "ALARM"
    assert watch.since == 120


def test_a_late_datapoint_takes_its_place() -> None:
    watch = Watch(_alarm(2))
    watch.put(120, 120)
    watch.look(120)
    assert watch.state == "OK"  # a breach after silence waits
    watch.put(60, 130)
    watch.put(180, 90)
    watch.look(180)
    assert watch.values == [120, 90]
    watch.put(180, 110)
    watch.look(240)
    assert (watch.state, watch.values) == ("ALARM", [120, 110])


def test_an_alarm_without_data_is_insufficient_once_all_of_its_range_is_missing() -> None:
    watch = Watch(_alarm())
    for minute in range(1, 4):
        watch.put(60.0 * minute, 90)
    states = {}
    for minute in range(3, 10):
        watch.look(60.0 * minute)
        states[minute] = watch.state
    # The range is five minutes: at minute 7 the last datapoint is the oldest of it.
    assert states == {3: "OK", 4: "OK", 5: "OK", 6: "OK", 7: "OK"} | dict.fromkeys(
        (8, 9), "INSUFFICIENT_DATA"
    )


def test_an_alarm_acts_when_it_begins_and_every_minute_as_it_lasts() -> None:
    watch = Watch(_alarm(1, 10))
    fired = []
    for second in range(10, 200, 10):
        watch.put(second, 120 if second < 150 else 0)
        watch.look(second)
        if watch.fires(second):
            fired.append(second)
    assert fired == [10, 70, 130]


def test_an_alarm_that_begins_again_acts_at_once() -> None:
    watch = Watch(_alarm(1, 10))
    fired = []
    for second, value in ((10, 120), (20, 0), (30, 120)):
        watch.put(second, value)
        watch.look(second)
        if watch.fires(second):
            fired.append(second)
    assert fired == [10, 30]


@given(
    st.lists(st.sampled_from([None, 90.0, 110.0]), min_size=1, max_size=60),
    st.integers(1, 5),
    st.sampled_from(TREATMENTS),
)
def test_a_watch_says_what_the_evaluation_of_its_datapoints_says(
    values: list[float | None], points: int, treatment: Missing
) -> None:
    watch = Watch(Alarm("a", "m", "GreaterThanThreshold", 100, 60, points, points, treatment))
    seen: list[bool | None] = [None] * (points + 2)
    state: State = "INSUFFICIENT_DATA"
    for minute, value in enumerate(values, start=1):
        if value is not None:
            watch.put(60.0 * minute, value)
        watch.look(60.0 * minute)
        seen = [*seen[1:], None if value is None else value > 100]
        state = evaluate(seen, points, points, treatment, state)
        assert watch.state == state
