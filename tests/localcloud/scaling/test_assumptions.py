from __future__ import annotations

from dataclasses import fields

import pytest

from localcloud.scaling import Assumptions, Limits, ScalingError, ScheduledAction, StepScaling, TargetTracking


def test_every_parameter_has_a_mark_and_only_what_is_not_documented_can_be_set() -> None:
    marks = {entry.name: entry.mark for entry in Assumptions().table()}
    settable = {each.name for each in fields(Assumptions)}
    assert {marks[name] for name in settable} == {"observed", "assumed"}
    assert {mark for name, mark in marks.items() if name not in settable} == {"documented"}


def test_parameters_are_set_from_text() -> None:
    found = Assumptions().with_texts({"start_seconds": "426", "proportion_from": "mean", "low_points": "10"})
    assert (found.start_seconds, found.proportion_from, found.low_points) == (426.0, "mean", 10)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("start", "1", "'start' is no parameter that can be set; there are high_points, "),
        ("start_seconds", "soon", "start_seconds is a number; got 'soon'"),
        ("start_seconds", "-1", "start_seconds is at least 0; got -1"),
        ("start_seconds", "nan", "start_seconds is at least 0; got nan"),
        ("high_points", "0", "high_points is at least 1; got 0"),
        ("high_points", "2.5", "high_points is a number; got '2.5'"),
        ("low_share", "1.5", "low_share is above 0 and at most 1"),
        ("proportion_from", "median", "proportion_from is one of latest, mean"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ScalingError, match=message):
        Assumptions().with_texts({name: text})


def test_policies_that_cannot_be_are_refused() -> None:
    with pytest.raises(ScalingError, match="minimum 3, maximum 2"):
        Limits(3, 2)
    with pytest.raises(ScalingError, match="minimum -1"):
        Limits(-1, 2)
    for target in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ScalingError, match="The target value of a is above 0"):
            TargetTracking("a", target)
    with pytest.raises(ScalingError, match="A cooldown of a is at least 0 seconds; got -1"):
        TargetTracking("a", 1, scale_in_cooldown=-1)
    with pytest.raises(ScalingError, match="has at least one step"):
        StepScaling("a", (), ())
    with pytest.raises(ScalingError, match="sets a minimum, a maximum or both"):
        ScheduledAction("a", "rate(1 day)")
