"""Composite alarms: a rule over the states of other alarms."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend

_TOKEN = re.compile(
    r"""\s*(?:(?P<word>AND|OR|NOT|TRUE|FALSE)\b|(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*
    (?:"(?P<quoted>[^"]+)"|'(?P<single>[^']+)'|(?P<bare>[^\s()"']+))\s*\)|(?P<paren>[()]))""",
    re.VERBOSE,
)
_Read = Callable[[str], str | None]


class Rule:
    """ValidationError where it cannot be read. NOT binds closest, then AND, then OR."""

    def __init__(self, text: str) -> None:
        self._tokens: list[re.Match[str]] = []
        place, text = 0, text.strip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise ValidationError(f"AlarmRule must be valid: it cannot be read at {text[place:]!r}.")
            self._tokens.append(found)
            place = found.end()
        self._place = 0
        self._holds = self._or()
        if self._place < len(self._tokens):
            raise ValidationError("AlarmRule must be valid: AND or OR is missing.")

    @property
    def names(self) -> list[str]:
        return [_name(token) for token in self._tokens if token["state"]]

    def holds(self, state: _Read) -> bool:
        return self._holds(state)

    def _take(self, *words: str) -> bool:
        if self._place < len(self._tokens):
            token = self._tokens[self._place]
            if (token["word"] or token["paren"]) in words:
                self._place += 1
                return True
        return False

    def _or(self) -> Callable[[_Read], bool]:
        parts = [self._and()]
        while self._take("OR"):
            parts.append(self._and())
        return lambda state: any(part(state) for part in parts)

    def _and(self) -> Callable[[_Read], bool]:
        parts = [self._not()]
        while self._take("AND"):
            parts.append(self._not())
        return lambda state: all(part(state) for part in parts)

    def _not(self) -> Callable[[_Read], bool]:
        if self._take("NOT"):
            part = self._not()
            return lambda state: not part(state)
        if self._take("("):
            part = self._or()
            if not self._take(")"):
                raise ValidationError("AlarmRule must be valid: a parenthesis is not closed.")
            return part
        if self._take("TRUE"):
            return lambda _: True
        if self._take("FALSE"):
            return lambda _: False
        token = self._tokens[self._place] if self._place < len(self._tokens) else None
        if token is None or not token["state"]:
            raise ValidationError("AlarmRule must be valid: an alarm's state is missing.")
        self._place += 1
        return lambda state: state(_name(token)) == token["state"]


def _name(token: re.Match[str]) -> str:
    name: str = token["quoted"] or token["single"] or token["bare"]
    return name.rpartition(":alarm:")[2] if name.startswith("arn:") else name


def evaluate(backend: CloudWatchBackend, alarm: Alarm) -> tuple[str, str, dict[str, Any]]:
    """Its state, with the reason and what it rests on."""

    def state(name: str) -> str | None:
        found = backend.alarms.get(name)
        return found.state_value if found else None

    rule = Rule(str(alarm.rule))
    value = "ALARM" if rule.holds(state) else "OK"
    named = [backend.alarms.get(name) for name in rule.names]
    ringing = [str(one.alarm_arn) for one in named if one is not None and one.state_value == "ALARM"]
    reason = (
        f"{alarm.alarm_arn} transitioned to {value}: in state ALARM is {', '.join(ringing) or 'no alarm'}."
    )
    return value, reason, {"triggeringAlarms": [{"arn": arn} for arn in ringing]}
