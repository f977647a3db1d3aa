"""What the engine takes for granted about AWS, in one place, each with its mark.

documented: AWS says so. observed: users saw it. assumed: neither; chosen to fit what is known. Only the documented
cannot be set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from localcloud.scaling.policies import ScalingError

Mark = Literal["documented", "observed", "assumed"]


@dataclass(frozen=True)
class Entry:
    """One line of the table of parameters and rules."""

    name: str
    value: str
    mark: Mark
    meaning: str


def _parameter(default: Any, mark: Mark, meaning: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"mark": mark, "meaning": meaning, "choices": choices})


@dataclass(frozen=True)
class Assumptions:
    high_points: int = _parameter(
        3, "observed", "one-minute datapoints above the target before it scales out, all of them"
    )
    low_points: int = _parameter(
        15, "observed", "one-minute datapoints below the low threshold before it scales in, all of them"
    )
    fast_high_points: int = _parameter(
        3, "assumed", "10-second datapoints above the target before it scales out, all of them"
    )
    fast_low_points: int = _parameter(
        90, "observed", "10-second datapoints below the low threshold before it scales in, all of them"
    )
    low_share: float = _parameter(0.9, "observed", "low threshold, as a share of the target")
    metric_delay: float = _parameter(
        60.0, "assumed", "seconds from the end of a minute until its datapoint is seen"
    )
    fast_metric_delay: float = _parameter(
        10.0, "assumed", "seconds from the end of 10 seconds until their datapoint is seen"
    )
    proportion_from: str = _parameter(
        "latest",
        "assumed",
        "datapoint of capacity × datapoint / target, which gives the wanted capacity: latest, or mean of the alarm's",
        ("latest", "mean"),
    )
    cooldown_base: str = _parameter(
        "before",
        "assumed",
        "in a cooldown, a scale-out is counted from the capacity before the last one, or from that of now",
        ("before", "now"),
    )
    scale_in_limit: int = _parameter(
        0,
        "assumed",
        "instances that target tracking removes at a time, at most; 0: as many as the metric allows",
    )
    start_seconds: float = _parameter(
        300.0, "assumed", "from a scale-out until the new instances serve; 7 min 06 s was seen once"
    )
    stop_seconds: float = _parameter(
        60.0, "assumed", "from a scale-in until the next activity can begin; the instances serve no more"
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value, choices = getattr(self, each.name), each.metadata["choices"]
            if choices:
                if value not in choices:
                    raise ScalingError(f"{each.name} is one of {', '.join(choices)}; got {value!r}.")
                continue
            whole = isinstance(each.default, int)
            least = 1 if each.name.endswith("_points") else 0
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise ScalingError(f"{each.name} is a {'whole ' if whole else ''}number; got {value!r}.")
            if not math.isfinite(value) or value < least:
                raise ScalingError(f"{each.name} is at least {least}; got {value!r}.")
        if not 0 < self.low_share <= 1:
            raise ScalingError(f"low_share is above 0 and at most 1; got {self.low_share}.")

    def delay(self, period: int) -> float:
        """Seconds from the end of a period until its datapoint is seen."""
        return self.fast_metric_delay if period < 60 else self.metric_delay

    def with_texts(self, texts: dict[str, str]) -> Assumptions:
        """Return a copy with some parameters set from text, as a command line gives them."""
        known = {each.name: each for each in fields(self)}
        values: dict[str, Any] = {}
        for name, text in texts.items():
            if name not in known:
                raise ScalingError(f"{name!r} is no parameter that can be set; there are {', '.join(known)}.")
            kind: type = type(known[name].default)
            try:
                values[name] = kind(text)
            except ValueError:
                raise ScalingError(f"{name} is a number; got {text!r}.") from None
        return replace(self, **values)

    def table(self) -> list[Entry]:
        """Return all parameters with their values, then the rules that cannot be set."""
        parameters = [
            Entry(each.name, _text(getattr(self, each.name)), each.metadata["mark"], each.metadata["meaning"])
            for each in fields(self)
        ]
        return parameters + [Entry(name, value, "documented", meaning) for name, value, meaning in _RULES]


_RULES = (
    ("metric", "60 s", "each request counts 1 / instances; the sum is published once a minute"),
    ("fast metric", "10 s", "requests in flight or waiting, on average an instance"),
    ("no traffic", "0", "the metrics are then 0, and so it scales in to the minimum"),
    ("missing data", "no scaling", "the alarm has insufficient data; other policies go on"),
    ("repetition", "60 s", "an alarm that lasts asks for scaling again"),
    ("rounding", "up", "1.5 instances are 2"),
    ("no flapping", "", "no scale-in where the metric would be back above the target"),
    ("cooldowns", "300 s", "where none is given"),
    ("after a scale-out", "", "from its success on, only a larger one passes, less what was added"),
    ("after a scale-in", "", "from its success on, no other; a scale-out ends it"),
    ("several policies", "", "out if any says so, in if all tracking ones do; the largest capacity wins"),
    ("min and max", "", "a change, also a scheduled one, scales at once where the capacity is outside"),
    ("one at a time", "", "while the endpoint is being updated, also by scaling, nothing scales"),
)  # fmt: skip


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
