"""One HTML file that shows how a training run went: no external asset, the same bytes for the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.evaluate import Evaluation


@dataclass(frozen=True)
class Mistake:
    image: bytes | Path  # the photo as it lies on disk
    actual: int  # label
    predicted: int  # label
    probability: float  # of the predicted label


@dataclass(frozen=True)
class ReportInput:
    """All that a report shows. History rows hold `epoch` (from 1) and any of `train_loss`, `valid_loss`,
    `train_accuracy`, `valid_accuracy` (0 … 1); a missing or None value leaves a gap in its curve.
    """

    title: str
    classes: Sequence[str]
    evaluation: Evaluation
    history: Sequence[Mapping[str, float | None]] = ()
    mistakes: Sequence[Mistake] = ()  # most confident first; the first 24 are shown
    counts: Mapping[str, int] = field(default_factory=dict)  # photos a split
    config: Mapping[str, Any] = field(default_factory=dict)  # nested mappings are shown as dotted names
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_report(path: Path, *, run: ReportInput) -> None:
    raise NotImplementedError
