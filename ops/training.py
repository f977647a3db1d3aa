"""Trains for a stage and releases the result; measures archives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from ml.config import TrainConfig
from ml.data import Split
from ml.errors import KennelError
from ops import artifacts
from ops.paths import RUNS, WORK
from ops.stage import Stage

RELEASED_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece")


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    directory: Path
    archive: Path
    accuracy: float

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    @property
    def golden(self) -> Path:
        return next(self.directory.glob("golden.*"))


def train(stage: Stage, given: dict[str, Any], config_file: str | None = None) -> Run:
    """Train with the settings that are given, the file's, and the defaults, in this order; release the archive.

    Raises:
        KennelError: a setting or the data breaks a rule, or the archive fails its check.
    """
    typed = {name: from_text(name, value) for name, value in given.items() if value is not None}
    settings = _from_file(config_file) | typed
    config = TrainConfig.from_dict(settings)
    _lead_to_data(stage, config.data)
    from ml.train import (
        train as train_model,
    )  # here: torch takes seconds to import, and a bad setting none to tell

    result = train_model(config, runs_dir=RUNS, work_dir=WORK, progress=True)
    metrics = result.manifest["metrics"]
    artifacts.release(
        stage,
        result.archive,
        result.sha256,
        {name: metrics[name] for name in RELEASED_METRICS if name in metrics},
    )
    return Run(result.run_dir, result.archive, metrics["accuracy"])


def evaluate(stage: Stage, archive: str | None, data: str | None, split: str) -> Iterator[tuple[str, str]]:
    """Yield the measures of an archive on a split of the data, by name.

    Raises:
        KennelError: there is no such archive, or the data's classes are not the model's.
    """
    if split not in get_args(Split):
        raise KennelError(f"A split is one of {', '.join(get_args(Split))}.", split, "Correct --split.")
    model = artifacts.chosen(stage) if archive is None else None
    path = model.archive if model is not None else Path(archive or "")
    if not path.is_file():
        raise KennelError(
            "An archive to evaluate.", archive or "none trained yet", "./inv train, or --archive PATH."
        )
    _lead_to_data(stage, data)
    from ml.train import evaluate_artifact

    measured = evaluate_artifact(path, data, split=cast(Split, split), work_dir=WORK).to_dict()
    for name, value in measured.items():
        if isinstance(value, float):
            yield name.replace("_", " "), f"{value:.4f}"


def from_text(name: str, value: Any) -> Any:
    """Return a flag's text as the number that the setting is; what is no number is left for the rules to refuse."""
    parse = {"int": int, "float": float}.get(TrainConfig.__annotations__[name])
    if parse is None or not isinstance(value, str):
        return value
    try:
        return parse(value)
    except ValueError:
        return value


def _lead_to_data(stage: Stage, data: str | None) -> None:
    """Let boto3 find the stage's cloud, where the photos are in a bucket."""
    if data is not None and data.startswith("s3://"):
        stage.start()
        os.environ.update(
            {name: value for name, value in stage.environment.items() if name.startswith("AWS_")}
        )


def _from_file(config_file: str | None) -> dict[str, Any]:
    if config_file is None:
        return {}
    path = Path(config_file)
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise KennelError(
            "--config is a readable JSON file.", f"{path}: {error}", "Correct the file."
        ) from error
    if not isinstance(settings, dict):
        raise KennelError(
            "--config holds an object of settings.", type(settings).__name__, "Correct the file."
        )
    return settings
