"""Trains for a stage and releases the result; measures archives."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from ml.config import TrainConfig
from ml.data import Split
from ml.data.files import PART, sweep
from ml.errors import KennelError
from ops import artifacts
from ops.paths import RUNS, WORK
from ops.stage import Stage

if TYPE_CHECKING:
    from ml.jobs import worker

RELEASED_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece")


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    directory: Path
    archive: Path
    accuracy: float
    precision_cost: str | None  # of features faster than f32, in words

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    @property
    def golden(self) -> Path:
        return next(self.directory.glob("golden.*"))


def train(
    stage: Stage,
    given: dict[str, Any],
    config_file: str | None = None,
    *,
    resume: bool = False,
    processes: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Run:
    """Train with the settings that are given, the file's, and the defaults, in this order; release the archive.

    `processes` share the work on this machine. `resume` goes on with an unfinished run of the same settings.

    Raises:
        KennelError: a setting or the data breaks a rule, or the archive fails its check.
    """
    config = configuration(given, config_file)
    _check_processes(processes)
    lead_to_data(stage, config.data)
    checkpoints = _checkpoints(config, resume, say)
    # Here: torch takes seconds to import, and a bad setting none to tell.
    from ml.jobs import worker

    WORK.mkdir(exist_ok=True)
    sweep(WORK)
    with tempfile.TemporaryDirectory(prefix=PART, dir=WORK) as folder:
        result = Path(folder, "result.json")
        spec = worker.Spec(config, RUNS, WORK, checkpoints, resume, result)
        try:
            if processes == 1:
                worker.run(spec)
            else:
                _run_together(spec, Path(folder, "spec.json"), processes)
        except KeyboardInterrupt:
            if not _is_begun(checkpoints):
                raise
            told = "Interrupted. The same command with --resume goes on after the last whole epoch."
            raise KeyboardInterrupt(told) from None
        run = finished(stage, json.loads(result.read_text()))
    shutil.rmtree(checkpoints, ignore_errors=True)
    return run


def _run_together(spec: worker.Spec, file: Path, processes: int) -> None:
    from ml.launch import launch

    spec.write(file)
    code = launch(file, processes=processes, restarts=1)
    if code != 0:
        told = json.loads(spec.result.read_text()).get("error") if spec.result.is_file() else None
        if told is None:
            raise KennelError(
                "Every process of a training run must come to its end",
                f"exit code {code}",
                "read what was printed above; --resume goes on after the last whole epoch",
            )
        raise KennelError(told["rule"], told["received"], told["remedy"])


def finished(stage: Stage, result: dict[str, Any]) -> Run:
    """Release what a run has left: run_dir, archive, sha256 and metrics."""
    metrics = result["metrics"]
    archive = Path(result["archive"])
    artifacts.release(
        stage,
        archive,
        result["sha256"],
        {name: metrics[name] for name in RELEASED_METRICS if name in metrics},
    )
    from ml.evaluate import PrecisionCost

    told = json.loads(Path(result["run_dir"], "metrics.json").read_text())
    cost = PrecisionCost(**told["features"]).words
    return Run(Path(result["run_dir"]), archive, metrics["accuracy"], cost)


def configuration(given: dict[str, Any], config_file: str | None = None) -> TrainConfig:
    """The settings that are given, the file's, and the defaults, in this order."""
    typed = {name: from_text(name, value) for name, value in given.items() if value is not None}
    return TrainConfig.from_dict(_from_file(config_file) | typed)


def _check_processes(processes: int) -> None:
    if not 1 <= processes <= 64:
        raise KennelError("--processes is a whole number from 1 to 64.", processes, "Correct --processes.")


def _checkpoints(config: TrainConfig, resume: bool, say: Callable[[str], None]) -> Path:
    """The folder that belongs to just these settings."""
    settings = {name: value for name, value in config.to_dict().items() if name != "cache_limit_gib"}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    folder = WORK / "checkpoints" / digest[:16]
    if _is_begun(folder):
        if not resume:
            say("An unfinished run of these settings is there; --resume would go on with it. Starting anew.")
    elif resume and not config.frozen:
        raise KennelError(
            "--resume goes on with an unfinished run of the same settings.",
            "there is none",
            "give the settings of the run that was interrupted, or leave --resume out.",
        )
    return folder


def _is_begun(checkpoints: Path) -> bool:
    return checkpoints.is_dir() and any(checkpoints.iterdir())


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
    lead_to_data(stage, data)
    from ml.train import evaluate_artifact

    measured = evaluate_artifact(path, data, split=cast(Split, split), work_dir=WORK).to_dict()
    for name, value in measured.items():
        if isinstance(value, float):
            yield name.replace("_", " "), f"{value:.4f}"


def from_text(name: str, value: Any) -> Any:
    """Return a flag's text as the number that the setting is; what is no number is left for the rules to refuse."""
    parse = {"int": int, "float": float}.get(TrainConfig.__annotations__[name].partition(" ")[0])
    if parse is None or not isinstance(value, str):
        return value
    try:
        return parse(value)
    except ValueError:
        return value


def lead_to_data(stage: Stage, data: str | None) -> None:
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
