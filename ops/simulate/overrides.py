"""What of a declared policy is simulated otherwise, as `--set target=700` and `--assume start_seconds=240` say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from localcloud.scaling import (
    FAST_METRIC,
    MINUTE_METRIC,
    Assumptions,
    Limits,
    ScalingError,
    TargetTracking,
)
from ml.errors import KennelError
from ops.simulate.declared import Scaling

METRICS = {
    "minute": MINUTE_METRIC, "fast": FAST_METRIC, MINUTE_METRIC: MINUTE_METRIC, FAST_METRIC: FAST_METRIC,
}  # fmt: skip


def pairs(option: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise KennelError(f"--{option} has the form name=value,name=value.", part or text)
        if name in found:
            raise KennelError(f"--{option} gives a name once.", name)
        found[name] = value
    return found


def with_settings(scaling: Scaling, text: str) -> Scaling:
    """Return the scaling with what `--set` changes; a target makes it a target tracking of one policy."""
    given = pairs("set", text)
    unknown = sorted(set(given) - set(_PARSERS))
    if unknown:
        raise KennelError(f"--set knows {', '.join(_PARSERS)}.", ", ".join(unknown))
    values = {name: _PARSERS[name](name, each) for name, each in given.items()}
    try:
        limits = Limits(
            values.pop("min_instances", scaling.limits.minimum),
            values.pop("max_instances", scaling.limits.maximum),
        )
        initial = limits.clamp(values.pop("instance_count", scaling.initial))
        policies = scaling.policies
        if values:
            policies = (_tracking(scaling, values),)
    except ScalingError as error:
        raise KennelError("--set gives a policy that can be.", error) from error
    return replace(scaling, limits=limits, initial=initial, policies=policies)


def _tracking(scaling: Scaling, values: dict[str, Any]) -> TargetTracking:
    base = scaling.tracking or TargetTracking(
        "target-tracking", 100.0, scale_out_cooldown=10, scale_in_cooldown=10
    )
    if "metric" in values and values["metric"] != base.metric and "target" not in values:
        raise KennelError(
            "Another metric comes with another target: requests a minute, or requests in flight.",
            f"metric={values['metric']}", "Add target=….",
        )  # fmt: skip
    return replace(base, **values)


def assumptions(text: str | None) -> Assumptions:
    """Return the assumptions with what `--assume` changes."""
    try:
        return Assumptions().with_texts(pairs("assume", text) if text else {})
    except ScalingError as error:
        raise KennelError(
            "--assume sets what is not documented.", error, "docs/scaling.md has the table."
        ) from error


def positive(name: str, text: str | float) -> float:
    """Read a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise KennelError(f"{name} is a number above 0.", text)
    return number


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise KennelError(f"{name} is a number.", text)
    return number


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise KennelError(f"{name} is a whole number from 0.", text)
    return int(text)


def _metric(name: str, text: str) -> str:
    if text not in METRICS:
        raise KennelError(f"{name} is minute or fast, or its whole name.", text)
    return METRICS[text]


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "target": _number,
    "metric": _metric,
    "scale_out_cooldown": _number,
    "scale_in_cooldown": _number,
    "min_instances": _whole,
    "max_instances": _whole,
    "instance_count": _whole,
}
