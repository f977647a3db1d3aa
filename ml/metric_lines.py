"""The line that an epoch prints, and the regular expressions by which SageMaker reads it: one source for both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

MEASURES = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "best_valid_loss")
OBJECTIVE = "valid:best_loss"  # to be minimized; the lowest validation loss so far, so that the last value is the best

_NAMES = {
    "train_loss": "train:loss",
    "train_accuracy": "train:accuracy",
    "valid_loss": "valid:loss",
    "valid_accuracy": "valid:accuracy",
    "best_valid_loss": OBJECTIVE,
}
_NUMBER = r"([0-9.eE+-]+|nan|inf)"
_LINE = re.compile(r"epoch=([0-9]+)/([0-9]+)((?: [a-z_]+=\S+)+)")


class Printer:
    """Prints a line an epoch, for log files that are read by the expressions below."""

    def __init__(self, epochs: int, write: Callable[[str], None]) -> None:
        self._epochs = epochs
        self._write = write
        self._best = float("inf")

    def __call__(self, row: Mapping[str, float]) -> None:
        self._best = min(self._best, row["valid_loss"])
        self._write(line({**row, "best_valid_loss": self._best}, self._epochs))


def line(row: Mapping[str, float], epochs: int) -> str:
    values = " ".join(f"{name}={row[name]:.6g}" for name in MEASURES if name in row)
    return f"epoch={row['epoch']:.0f}/{epochs} {values}"


def parse(text: str) -> tuple[int, int, dict[str, float]] | None:
    """Epoch, epochs at most, and the measures, of a line that was printed above; None for any other."""
    match = _LINE.search(text)
    if match is None:
        return None
    pairs = (pair.split("=", 1) for pair in match[3].split())
    return int(match[1]), int(match[2]), {name: float(value) for name, value in pairs}


def metric_name(measure: str) -> str:
    """What SageMaker calls the measure."""
    return _NAMES[measure]


def definitions() -> list[dict[str, str]]:
    """MetricDefinitions of a training job's AlgorithmSpecification."""
    return [{"Name": _NAMES[name], "Regex": rf"(?:^| ){name}={_NUMBER}"} for name in MEASURES]
