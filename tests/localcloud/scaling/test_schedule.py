from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from localcloud.scaling.policies import ScalingError, ScheduledAction
from localcloud.scaling.schedule import times


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def following(schedule: str, after: str, **other: object) -> str | None:
    action = ScheduledAction("a", schedule, minimum=1, **other)  # type: ignore[arg-type]
    found = times(action, at(after))(at(after))
    return None if found is None else f"{datetime.fromtimestamp(found, ZoneInfo('UTC')):%a %Y-%m-%d %H:%M:%S}"


# The 23rd of November 2026 is a Monday.
@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("at(2026-11-23T08:00:00)", "2026-11-23T07:59:59", "Mon 2026-11-23 08:00:00"),
        ("at(2026-11-23T08:00:00)", "2026-11-23T08:00:00", None),
        ("rate(1 minute)", "2026-11-23T08:00:30", "Mon 2026-11-23 08:01:30"),
        ("rate(12 hours)", "2026-11-23T08:00:00", "Mon 2026-11-23 20:00:00"),
        ("rate(2 days)", "2026-11-23T08:00:00", "Wed 2026-11-25 08:00:00"),
        ("cron(0 8 ? * MON-FRI *)", "2026-11-27T09:00:00", "Mon 2026-11-30 08:00:00"),
        ("cron(0 8 ? * 2-6 *)", "2026-11-27T09:00:00", "Mon 2026-11-30 08:00:00"),  # 1 is a Sunday
        ("cron(0 8 ? * 1 *)", "2026-11-23T09:00:00", "Sun 2026-11-29 08:00:00"),
        ("cron(0 8 ? * SAT,SUN *)", "2026-11-23T09:00:00", "Sat 2026-11-28 08:00:00"),
        ("cron(30 17 ? * 3#2 *)", "2026-11-23T09:00:00", "Tue 2026-12-08 17:30:00"),
        ("cron(0 0 ? * 6L *)", "2026-11-23T09:00:00", "Fri 2026-11-27 00:00:00"),
        ("cron(0 0 L * ? *)", "2026-11-23T09:00:00", "Mon 2026-11-30 00:00:00"),
        ("cron(0/15 10 * * ? *)", "2026-11-23T10:16:00", "Mon 2026-11-23 10:30:00"),
        ("cron(0 0 1 1 ? 2028)", "2026-11-23T10:16:00", "Sat 2028-01-01 00:00:00"),
        ("cron(0 0 1 1 ? 2025)", "2026-11-23T10:16:00", None),
    ],
)  # fmt: skip
def test_a_schedule_comes_when_it_says(schedule: str, after: str, expected: str | None) -> None:
    assert following(schedule, after) == expected


def test_a_schedule_keeps_to_its_timezone_through_the_change_of_clocks() -> None:
    # Europe/Berlin is at UTC+1 in winter; summer time begins on 28 March 2027.
    winter = following("cron(0 8 * * ? *)", "2027-03-26T09:00:00", timezone="Europe/Berlin")
    summer = following("cron(0 8 * * ? *)", "2027-03-28T09:00:00", timezone="Europe/Berlin")
    assert (winter, summer) == ("Sat 2027-03-27 07:00:00", "Mon 2027-03-29 06:00:00")
    assert following("at(2027-07-01T08:00:00)", "2027-03-26T09:00:00", timezone="America/New_York") == (
        "Thu 2027-07-01 12:00:00"
    )


def test_a_schedule_keeps_to_its_start_and_its_end() -> None:
    start, end = at("2026-11-25T00:00:00"), at("2026-11-26T00:00:00")
    given = {"start": start, "end": end}
    assert following("rate(12 hours)", "2026-11-23T08:00:00", **given) == "Wed 2026-11-25 00:00:00"
    assert following("cron(0 8 * * ? *)", "2026-11-23T07:00:00", **given) == "Wed 2026-11-25 08:00:00"
    assert following("cron(0 8 * * ? *)", "2026-11-25T09:00:00", **given) is None


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("every day", r"A schedule is at\(…\), rate\(…\) or cron\(…\)"),
        ("at(tomorrow)", "holds yyyy-mm-ddThh:mm:ss; got 'tomorrow'"),
        ("rate(0 minutes)", "rate"),
        ("rate(2 hour)", "got '2 hour'"),
        ("rate(1 hours)", "got '1 hours'"),
        ("cron(0 8 * * *)", "has six fields"),
        ("cron(0 8 * * * *)", "Either day-of-month or day-of-week is"),
        ("cron(0 8 ? * ? *)", "Either day-of-month or day-of-week is"),
        ("cron(0 8 15W * ? *)", "nearest weekday"),
        ("cron(61 8 * * ? *)", "cannot be read"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(schedule: str, message: str) -> None:
    with pytest.raises(ScalingError, match=message):
        times(ScheduledAction("a", schedule, minimum=1), 0.0)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_a_timezone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(ScalingError, match="A timezone has a name such as Europe/London"):
        times(ScheduledAction("a", "rate(1 day)", minimum=1, timezone=zone), 0.0)
