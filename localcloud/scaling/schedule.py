"""When a scheduled action happens: at(…), rate(…) and cron(…) as Application Auto Scaling writes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

from localcloud.scaling.policies import ScalingError, ScheduledAction

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

Next = Callable[[float], float | None]


def times(action: ScheduledAction, registered: float) -> Next:
    """Return a function that gives the first time after another, or None where there is none.

    Raises:
        ScalingError: the schedule cannot be read.
    """
    found = re.fullmatch(r"(at|rate|cron)\((.*)\)", action.schedule.strip())
    if not found:
        raise ScalingError(f"A schedule is at(…), rate(…) or cron(…); got {action.schedule!r}.")
    kind, text = found.groups()
    zone = _zone(action.timezone)
    following = {
        "at": lambda: _at(text, zone),
        "rate": lambda: _rate(text, registered if action.start is None else action.start),
        "cron": lambda: _cron(text, zone),
    }[kind]()

    def within(after: float) -> float | None:
        if action.start is not None and after < action.start:
            after = action.start - 1e-3  # the start itself counts
        time = following(after)
        return None if time is None or (action.end is not None and time > action.end) else time

    return within


def _at(text: str, zone: ZoneInfo) -> Next:
    try:
        time = datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except ValueError:
        raise ScalingError(f"at(…) holds yyyy-mm-ddThh:mm:ss; got {text!r}.") from None
    return lambda after: time if after < time else None


def _rate(text: str, origin: float) -> Next:
    found = re.fullmatch(r"([1-9][0-9]*) (minute|hour|day)(s?)", text)
    if not found or (found[1] == "1") == bool(found[3]):
        raise ScalingError(f"rate(…) holds a number and minutes, hours or days, or 1 minute; got {text!r}.")
    seconds = int(found[1]) * _UNITS[found[2]]
    return lambda after: origin + max(0, (after - origin) // seconds + 1) * seconds


def _cron(text: str, zone: ZoneInfo) -> Next:
    fields = text.split()
    if len(fields) != 6:
        raise ScalingError(
            f"cron(…) has six fields: minutes hours day-of-month month day-of-week year; got {text!r}."
        )
    minutes, hours, day, month, weekday, year = fields
    if (day == "?") == (weekday == "?"):
        raise ScalingError(f"Either day-of-month or day-of-week is ?, and not both; got cron({text}).")
    if "W" in day.upper():
        raise ScalingError(f"The nearest weekday (W) is not understood here; got cron({text}).")
    days = "*" if day == "?" else day
    weekdays = "*" if weekday == "?" else _weekdays(weekday)
    expression = f"{minutes} {hours} {days} {month} {weekdays} 0 {year}"
    try:
        croniter(expression, datetime(2000, 1, 1, tzinfo=UTC))
    except (CroniterBadCronError, ValueError) as error:
        raise ScalingError(f"cron({text}) cannot be read: {error}.") from None

    def following(after: float) -> float | None:
        start = datetime.fromtimestamp(after, zone)
        try:
            return float(croniter(expression, start, max_years_between_matches=10).get_next(float))
        except CroniterBadDateError:  # its years are over
            return None

    return following


def _weekdays(text: str) -> str:
    """AWS counts from 1, a Sunday; names mean the same everywhere."""
    translated = re.sub(r"(?<![#/\d])([1-7])(?=L?($|[,\-#/]))", lambda found: _DAYS[int(found[1]) - 1], text)
    last = re.sub(
        r"(?<![A-Za-z])([A-Za-z]{3})L(?![A-Za-z])",
        lambda found: f"L{_DAYS.index(found[1].upper())}",
        translated,
    )
    return re.sub(r"([A-Za-z]{3})#", lambda found: f"{_DAYS.index(found[1].upper())}#", last)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown, or no name at all
        raise ScalingError(f"A timezone has a name such as Europe/London; got {name!r}.") from None
