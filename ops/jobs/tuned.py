"""Brings a finished tuning job's trials here: the best settings and the report, as a study here leaves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml.config import TrainConfig
from ml.search_space import SearchSpace
from ops import files
from ops.jobs import source
from ops.jobs.follow import JobError
from ops.paths import WORK, shown
from ops.review.redact import scrub
from ops.stage import Stage
from ops.tuning import Tuned

if TYPE_CHECKING:
    from ml.tune.trials import TrialState, TuningTrial

_STATES: dict[str, TrialState] = {
    "Completed": "complete",
    "Stopped": "pruned",
    "Failed": "failed",
}  # else running


def collect(stage: Stage, description: Mapping[str, Any]) -> Tuned:
    """Write best.json and the report of the tuning job that DescribeHyperParameterTuningJob describes.

    Raises:
        JobError: no trial came to an end.
    """
    from ml.report.tuning import TuningReport, write_tuning_report
    from ml.tune.trials import best

    name = description["HyperParameterTuningJobName"]
    space = SearchSpace.from_sagemaker(description["HyperParameterTuningJobConfig"]["ParameterRanges"])
    trials = _trials(stage, name, space)
    winner = best(trials)
    if winner is None or winner.value is None:
        raise JobError(
            "A tuning job ends with a best trial.", f"none of {len(trials)} completed", "Start again."
        )
    definition = description["TrainingJobDefinition"]
    fixed = {
        key: json.loads(text)
        for key, text in definition["StaticHyperParameters"].items()
        if not key.startswith("_")
    }
    channels = {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in definition["InputDataConfig"]
    }
    data = channels["data"]
    if "weights" in channels:
        fixed["weights"] = str(source.fetch_weights(stage, channels["weights"], WORK / "weights"))
    config = TrainConfig.from_dict({**fixed, **winner.params, "data": data})
    folder = WORK / "tune" / name
    folder.mkdir(parents=True, exist_ok=True)
    tuned = Tuned(folder / "best.json", folder / "report.html", winner.value)
    files.write_json(tuned.config_file, config.to_dict())
    write_tuning_report(
        tuned.report,
        TuningReport(
            title=f"Tuning job {name}",
            space=space,
            trials=trials,
            config=config.to_dict(),
            command=f"./inv train --config {shown(tuned.config_file)}",
            facts={"backbone": config.backbone, "photos": data},
        ),
    )
    return tuned


def _trials(stage: Stage, name: str, space: SearchSpace) -> tuple[TuningTrial, ...]:
    from ml.tune.trials import TuningTrial

    pages = (
        stage.client("sagemaker")
        .get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
        .paginate(HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending")
    )
    found = [trial for page in pages for trial in page["TrainingJobSummaries"]]
    return tuple(
        TuningTrial(
            number,
            _STATES.get(trial["TrainingJobStatus"], "running"),
            space.from_hyperparameters(trial["TunedHyperParameters"]),
            trial.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
            seconds=_seconds(trial),
            note=scrub(trial.get("FailureReason", trial["TrainingJobName"])),
        )
        for number, trial in enumerate(found, start=1)
    )


def _seconds(trial: Mapping[str, Any]) -> float | None:
    if "TrainingStartTime" not in trial or "TrainingEndTime" not in trial:
        return None
    return float((trial["TrainingEndTime"] - trial["TrainingStartTime"]).total_seconds())
