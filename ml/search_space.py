"""What tuning tries: one description, read by Optuna here and by SageMaker there. Imports neither, nor torch."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ml.config import ConfigError, TrainConfig
from ml.errors import KennelError

Value = str | int | float


class SpaceError(KennelError):
    """A search space that cannot be searched."""


class Trial(Protocol):
    """What an Optuna trial can be asked."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Range:
    low: float
    high: float
    log: bool = True

    @property
    def edges(self) -> tuple[Value, ...]:
        """The values by which TrainConfig's rules hold for all."""
        return self.low, self.high

    @property
    def middle(self) -> float:
        return math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2

    def holds(self, value: object) -> bool:
        """Also what was rounded on its way through text."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        return self.low - slack <= value <= self.high + slack

    def to_json(self) -> object:
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choices:
    values: tuple[Value, ...]

    @property
    def edges(self) -> tuple[Value, ...]:
        return self.values

    def holds(self, value: object) -> bool:
        return value in self.values

    def to_json(self) -> object:
        return list(self.values)


Parameter = Range | Choices

# Named like TrainConfig's fields. Weight decays from 1 to 30 suit a head on features (see ml/head.py), of 0.05 an
# unfrozen backbone.
DEFAULTS: Mapping[str, Parameter] = {
    "learning_rate": Range(1e-4, 3e-2),
    "batch_size": Choices((16, 32, 64, 128)),
    "head": Choices(("linear", "two-layer")),
    "weight_decay": Range(0.01, 50.0),
    "augment": Choices(("none", "light", "strong")),
    "unfreeze": Choices(("none", "last:1", "last:2", "all")),
}
# What costs only the head's epochs; the others ask for more passes through the backbone.
CHEAP = ("learning_rate", "batch_size", "head", "weight_decay")


@dataclass(frozen=True)
class SearchSpace:
    """The settings that trials differ in, always in the order of `DEFAULTS`."""

    parameters: Mapping[str, Parameter]
    written: frozenset[str] = frozenset()  # whose values a person wrote: they are not adapted to the data

    @classmethod
    def load(
        cls, names: str | None = None, file: str | Path | None = None, *, fixed: Iterable[str] = ()
    ) -> SearchSpace:
        """`names`: "learning_rate,head" or "all"; None: the cheap ones, and those that the file names.
        `fixed`: settings that are given, and so not searched.

        Raises:
            SpaceError: a name or a range breaks a rule.
        """
        ranges = _read(Path(file)) if file is not None else {}
        asked = _names(names)
        for name in ranges:
            _known(name)
            if asked is not None and name not in asked:
                raise SpaceError(
                    "The file of the search space holds only what is searched",
                    f"{name}, and --search {names}",
                    f"add {name} to --search, or remove it from the file",
                )
        chosen = asked if asked is not None else {*CHEAP, *ranges}
        fixed = set(fixed)
        for name in sorted(fixed & ({*ranges} if asked is None else {*asked})):
            raise SpaceError(
                "A setting is searched, or it is given",
                f"{name} is both",
                f"leave it out of the search, or remove --{name.replace('_', '-')}",
            )
        parameters = {
            name: _parameter(name, ranges[name]) if name in ranges else default
            for name, default in DEFAULTS.items()
            if name in chosen and name not in fixed
        }
        if not parameters:
            raise SpaceError("There is something to search", "every setting is given", "give fewer settings")
        return cls(parameters, frozenset(ranges)).checked(TrainConfig())

    @classmethod
    def from_dict(cls, ranges: Mapping[str, Any]) -> SearchSpace:
        """The opposite of `to_dict`."""
        for name in ranges:
            _known(name)
        parameters = {name: _parameter(name, ranges[name]) for name in DEFAULTS if name in ranges}
        return cls(parameters, frozenset(ranges)).checked(TrainConfig())

    def to_dict(self) -> dict[str, Any]:
        """As the JSON file has it, and complete."""
        return {name: parameter.to_json() for name, parameter in self.parameters.items()}

    def checked(self, config: TrainConfig, photos: int | None = None) -> SearchSpace:
        """The space, where every value fits the other settings and, once it is known, the number of training
        photos; batch sizes that nobody wrote are made to fit.
        """
        parameters = dict(self.parameters)
        sizes = parameters.get("batch_size")
        if photos is not None and isinstance(sizes, Choices):
            fitting = tuple(size for size in sizes.values if int(size) <= photos)
            if "batch_size" not in self.written:
                parameters["batch_size"] = Choices(fitting or (photos,))
            elif fitting != sizes.values:
                raise SpaceError(
                    f"A batch is at most as large as the training split, {photos:,} photos",
                    f"batch_size {', '.join(str(size) for size in sizes.values if size not in fitting)}",
                    "leave the larger ones out of the search space",
                )
        for name, parameter in parameters.items():
            for value in parameter.edges:
                try:
                    dataclasses.replace(config, **{name: value})  # type: ignore[arg-type]
                except ConfigError as error:
                    raise SpaceError(
                        error.rule, f"{error.received} in the search space of {name}", error.remedy
                    ) from None
        return SearchSpace(parameters, self.written)

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """The settings of an Optuna trial."""
        return {
            name: trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
            if isinstance(parameter, Range)
            else trial.suggest_categorical(name, parameter.values)
            for name, parameter in self.parameters.items()
        }

    def start(self, config: TrainConfig) -> dict[str, Value]:
        """Where a search begins: at the settings that would hold without one, as far as they are in the space."""
        found: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            value = getattr(config, name)
            if parameter.holds(value):
                found[name] = value
            elif isinstance(parameter, Range):  # as a weight decay that training would choose
                found[name] = parameter.middle
        return found

    def to_sagemaker(self) -> dict[str, list[dict[str, Any]]]:
        """HyperParameterTuningJobConfig's ParameterRanges: all values are text there."""
        return {
            "ContinuousParameterRanges": [
                {
                    "Name": name,
                    "MinValue": _to_text(parameter.low),
                    "MaxValue": _to_text(parameter.high),
                    "ScalingType": "Logarithmic" if parameter.log else "Linear",
                }
                for name, parameter in self.parameters.items()
                if isinstance(parameter, Range)
            ],
            "CategoricalParameterRanges": [
                {"Name": name, "Values": [_to_text(value) for value in parameter.values]}
                for name, parameter in self.parameters.items()
                if isinstance(parameter, Choices)
            ],
        }

    @classmethod
    def from_sagemaker(cls, ranges: Mapping[str, Any]) -> SearchSpace:
        """The opposite of `to_sagemaker`."""
        found: dict[str, Parameter] = {
            entry["Name"]: Range(
                float(entry["MinValue"]), float(entry["MaxValue"]), log=entry["ScalingType"] == "Logarithmic"
            )
            for entry in ranges.get("ContinuousParameterRanges", [])
        }
        for entry in ranges.get("CategoricalParameterRanges", []):
            found[entry["Name"]] = Choices(tuple(_from_text(text) for text in entry["Values"]))
        for name in found:
            _known(name)
        return cls({name: found[name] for name in DEFAULTS if name in found})

    def from_hyperparameters(self, texts: Mapping[str, str]) -> dict[str, Value]:
        """The settings that a SageMaker trial had; hyperparameters that were not searched are left out.

        Raises:
            SpaceError: one is missing, or not of this space.
        """
        settings: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            value: Any = _from_text(texts[name]) if name in texts else None
            if not parameter.holds(value):
                raise SpaceError(
                    f"{name} of a trial is a value of the search space",
                    repr(texts.get(name)),
                    "name the space that the tuning job was started with",
                )
            if isinstance(parameter, Range):
                value = min(max(float(value), parameter.low), parameter.high)
            settings[name] = value
        return settings


def _to_text(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _from_text(text: str) -> Any:
    """As the training container reads it: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    if text.strip() == "all":
        return tuple(DEFAULTS)
    names = tuple(name.strip().replace("-", "_") for name in text.split(","))
    for name in names:
        _known(name)
    return names


def _known(name: str) -> None:
    if name not in DEFAULTS:
        close = difflib.get_close_matches(name, DEFAULTS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise SpaceError(
            "What is searched is a setting that can be", repr(name), f"{hint}known: {', '.join(DEFAULTS)}"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        ranges = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SpaceError(
            "The search space is a readable JSON file", f"{path}: {error}", "correct the file"
        ) from error
    if not isinstance(ranges, dict):
        raise SpaceError(
            "The search space is an object of ranges and choices",
            type(ranges).__name__,
            'for example {"learning_rate": {"low": 1e-4, "high": 1e-2}, "head": ["linear"]}',
        )
    return ranges


def _parameter(name: str, written: object) -> Parameter:
    if isinstance(written, list):
        return _choices(name, written)
    default = DEFAULTS[name]
    if isinstance(written, dict) and isinstance(default, Range):
        return _range(name, written, default)
    form = "a list of choices" + (
        ', or a range: {"low": …, "high": …, "log": true}' if isinstance(default, Range) else ""
    )
    example = default.to_json()
    raise SpaceError(
        f"{name} is searched in {form}", json.dumps(written), f"for example {json.dumps(example)}"
    )


def _choices(name: str, written: list[Any]) -> Choices:
    example = f"for example {json.dumps(list(DEFAULTS[name].edges))}"
    if not written:
        raise SpaceError(f"There is something to choose {name} from", "[]", example)
    for value in written:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise SpaceError(f"{name} is chosen among texts or numbers", json.dumps(value), example)
    if len({*written}) < len(written):
        raise SpaceError(f"Each choice of {name} is there once", json.dumps(written), "remove the others")
    return Choices(tuple(written))


def _range(name: str, written: dict[str, Any], default: Range) -> Range:
    known = [field.name for field in dataclasses.fields(Range)]
    for key in written:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise SpaceError(
                f"A range has low, high and log, that of {name} too", repr(key), f"{hint}correct it"
            )
    found = dataclasses.replace(default, **written)
    for value in (found.low, found.high):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SpaceError(f"{name} is searched between two numbers", repr(value), "correct the range")
    if not isinstance(found.log, bool):
        raise SpaceError(f"log of {name} is true or false", repr(found.log), "correct the range")
    if found.low >= found.high:
        raise SpaceError(
            f"The range of {name} begins below its end",
            f"low {found.low:g}, high {found.high:g}",
            "exchange the two, or choose among values: [0.1, 0.2]",
        )
    if found.log and found.low <= 0:
        raise SpaceError(
            f"A logarithmic range begins above 0, that of {name} too",
            f"low {found.low:g}",
            'a low above 0, or "log": false',
        )
    return found
