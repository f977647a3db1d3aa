"""The hyperparameters that a tuning job searches: ranges of numbers and sets of words, on AWS's scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.sagemaker.exceptions import ValidationError

if TYPE_CHECKING:
    import random

    import optuna

_WIDE = (
    100.0  # A range from a to so many times a or more is searched by its logarithm, where the scale is Auto
)


@dataclass(frozen=True)
class Number:
    name: str
    low: float
    high: float
    whole: bool
    scale: str  # Linear, Logarithmic or ReverseLogarithmic

    @property
    def combinations(self) -> float:
        return self.high - self.low + 1 if self.whole else math.inf

    def draw(self, generator: random.Random) -> str:
        low, high = self._edges
        return self._text(self._unscaled(generator.uniform(low, high)))

    def suggest(self, trial: optuna.Trial) -> str:
        if self.whole:
            logarithmic = self.scale == "Logarithmic"
            return str(trial.suggest_int(self.name, int(self.low), int(self.high), log=logarithmic))
        low, high = self._edges
        return self._text(self._unscaled(trial.suggest_float(self.name, low, high)))

    @property
    def _edges(self) -> tuple[float, float]:
        """The range on its scale; half a step wider for whole numbers, which then are all as likely."""
        half = 0.5 if self.whole else 0.0
        low, high = self.low - half, self.high + half
        if self.scale == "Logarithmic":
            return math.log(low), math.log(high)
        if self.scale == "ReverseLogarithmic":
            return -math.log(1 - low), -math.log(1 - high)
        return low, high

    def _unscaled(self, value: float) -> float:
        if self.scale == "Logarithmic":
            return math.exp(value)
        return 1 - math.exp(-value) if self.scale == "ReverseLogarithmic" else value

    def _text(self, value: float) -> str:
        within = min(max(value, self.low), self.high)  # the way over logarithms rounds
        return str(round(within)) if self.whole else repr(within)


@dataclass(frozen=True)
class Words:
    name: str
    values: tuple[str, ...]

    @property
    def combinations(self) -> float:
        return len(self.values)

    def draw(self, generator: random.Random) -> str:
        return generator.choice(self.values)

    def suggest(self, trial: optuna.Trial) -> str:
        return str(trial.suggest_categorical(self.name, self.values))


Range = Number | Words


def parse(ranges: dict[str, Any]) -> list[Range]:
    """ParameterRanges of a request.

    Raises:
        ValidationError: a range is none.
    """
    if ranges.get("AutoParameters"):
        raise NotImplementedError("CreateHyperParameterTuningJob with AutoParameters")
    found: list[Range] = []
    for entry in ranges.get("IntegerParameterRanges") or []:
        found.append(_number(entry, whole=True))
    for entry in ranges.get("ContinuousParameterRanges") or []:
        found.append(_number(entry, whole=False))
    for entry in ranges.get("CategoricalParameterRanges") or []:
        found.append(Words(entry["Name"], _unique(entry["Name"], entry["Values"])))
    if not found:
        raise ValidationError(
            "At least one hyperparameter range is required for a hyperparameter tuning job."
        )
    _unique("hyperparameter ranges", [one.name for one in found])
    return found


def _unique(what: str, values: Sequence[str]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValidationError(f"The values of {what} must be unique, received {list(values)}.")
    return tuple(values)


def _number(entry: dict[str, Any], *, whole: bool) -> Number:
    name, scale = entry["Name"], entry.get("ScalingType") or "Auto"
    try:
        low, high = (float(int(entry[key]) if whole else entry[key]) for key in ("MinValue", "MaxValue"))
    except ValueError as error:
        kind = "integers" if whole else "numbers"
        raise ValidationError(
            f"The range of hyperparameter {name} must be given by {kind}: {error}"
        ) from error
    said = f"The range [{entry['MinValue']}, {entry['MaxValue']}] of hyperparameter {name}"
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValidationError(f"{said} must have a minimum that is not above its maximum.")
    if scale == "Logarithmic" and low <= 0:
        raise ValidationError(f"{said} must be above 0 for logarithmic scaling.")
    if scale == "ReverseLogarithmic" and (whole or not 0 <= low <= high < 1):
        raise ValidationError(
            f"{said} must be continuous and within 0 <= x < 1.0 for reverse logarithmic scaling."
        )
    if scale == "Auto":
        scale = "Logarithmic" if low > 0 and low * _WIDE <= high else "Linear"
    return Number(name, low, high, whole, scale)
