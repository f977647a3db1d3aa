"""Starts, lists and stops the jobs of a stage on SageMaker."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.config import TrainConfig
from ml.errors import KennelError
from ml.search_space import SearchSpace
from ops import state_bucket
from ops.jobs import preflight, request, source
from ops.jobs.follow import JobError, detachable, is_missing
from ops.jobs.options import MAX_TUNING_NAME, JobOptions
from ops.stage import Stage

Say = Callable[[str], None]

_LISTED = 50  # jobs of each kind, the latest
_STOP_SECONDS = 600  # SageMaker gives a container two minutes, and then stores what it has left


@dataclass(frozen=True)
class Job:
    """A line of the list."""

    kind: str  # "training", "tuning" or "bulk"
    name: str
    status: str
    created: datetime.datetime
    ended: datetime.datetime | None = None


def start_training(
    stage: Stage, outputs: Mapping[str, Any], config: TrainConfig, options: JobOptions, say: Say
) -> str:
    """Check everything, upload what is missing, start the job; return its name.

    Raises:
        KennelError: something would not work; nothing has been started.
    """
    preflight.check_stage(stage, outputs)
    name = request.job_name(outputs, options, _now(), tuning=False)
    channels, _ = _prepare(stage, outputs, config, options, say)
    parameters = request.training_job(config, outputs, options, channels, name)
    with detachable(stage, name):
        create(stage.client("sagemaker").create_training_job, parameters, "training")
        say(f"Started the training job {name} on {options.instances} × {options.instance_type}.")
    return name


def start_tuning(
    stage: Stage,
    outputs: Mapping[str, Any],
    config: TrainConfig,
    options: JobOptions,
    say: Say,
    *,
    space: SearchSpace,
    trials: int,
    parallel: int = 2,
    early_stopping: bool = True,
) -> str:
    """Check everything, upload what is missing, start the tuning job; return its name.

    Raises:
        KennelError: something would not work; nothing has been started.
    """
    preflight.check_stage(stage, outputs)
    name = request.job_name(outputs, options, _now(), tuning=True)
    space = space.checked(config)
    channels, photos = _prepare(stage, outputs, config, options, say)
    parameters = request.tuning_job(
        config,
        outputs,
        options,
        channels,
        name,
        ranges=space.checked(config, photos).to_sagemaker(),
        trials=trials,
        parallel=parallel,
        early_stopping=early_stopping,
    )
    with detachable(stage, name):
        create(stage.client("sagemaker").create_hyper_parameter_tuning_job, parameters, "tuning")
        say(f"Started the tuning job {name}: {trials} trials, {min(parallel, trials)} at a time.")
    return name


def list_jobs(stage: Stage) -> list[Job]:
    """Return the stage's latest jobs, the newest first."""
    return latest_jobs(stage.client("sagemaker"), f"{state_bucket.prefix(stage)}-", _LISTED)


def latest_jobs(client: Any, prefix: str, most: int) -> list[Job]:
    """Return the latest jobs with the prefix, so many of each kind, the newest first."""
    query = {"NameContains": prefix, "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": most}
    training = client.list_training_jobs(**query)["TrainingJobSummaries"]
    tuning = client.list_hyper_parameter_tuning_jobs(**query)["HyperParameterTuningJobSummaries"]
    bulk = client.list_transform_jobs(**query)["TransformJobSummaries"]
    jobs = [
        *(_job("training", entry, "TrainingJob", "TrainingEndTime") for entry in training),
        *(
            _job("tuning", entry, "HyperParameterTuningJob", "HyperParameterTuningEndTime")
            for entry in tuning
        ),
        *(_job("bulk", entry, "TransformJob", "TransformEndTime") for entry in bulk),
    ]
    own = [job for job in jobs if job.name.startswith(prefix)]
    return sorted(own, key=lambda job: job.created, reverse=True)


def stop(stage: Stage, name: str) -> None:
    """Ask the job to stop, unless somebody has; its checkpoints, or its answers, stay.

    Raises:
        JobError: there is none of the name, or it has come to another end.
    """
    client = stage.client("sagemaker")
    kinds = [("training_job", "TrainingJob"), ("transform_job", "TransformJob")]
    if len(name) <= MAX_TUNING_NAME:
        kinds.append(("hyper_parameter_tuning_job", "HyperParameterTuningJob"))
    refusal = "there is none of the name"
    for call, kind in kinds:
        try:
            getattr(client, f"stop_{call}")(**{f"{kind}Name": name})
        except ClientError as error:
            if is_missing(error):
                continue
            described = getattr(client, f"describe_{call}")(**{f"{kind}Name": name})
            if described[f"{kind}Status"] in ("Stopping", "Stopped"):
                return  # it was told before: the answer to that may have been lost
            refusal = error.response["Error"]["Message"]
        else:
            return
    raise JobError("A job to stop is running.", f"{name}: {refusal}", "./inv jobs lists them.")


def stop_all(stage: Stage, say: Say) -> None:
    """Stop the stage's running jobs, and wait until they have: they need their role, and cost money without it, too.

    Raises:
        JobError: one does not stop.
    """
    deadline = time.monotonic() + _STOP_SECONDS
    told: set[str] = set()
    while running := [job.name for job in list_jobs(stage) if job.status in ("InProgress", "Stopping")]:
        if time.monotonic() > deadline:
            raise JobError(
                "Jobs stop when they are told to.", ", ".join(running), "Try again in some minutes."
            )
        for name in sorted({*running} - told):
            say(f"Stopping the job {name}, which is still running.")
            with contextlib.suppress(JobError):  # it is over by now, or stopping already
                stop(stage, name)
            told.add(name)
        time.sleep(1)


def _prepare(
    stage: Stage, outputs: Mapping[str, Any], config: TrainConfig, options: JobOptions, say: Say
) -> tuple[dict[str, str], int | None]:
    """The channels, when everything that can be checked is right and everything needed is uploaded; and the number
    of training photos, where it is known."""
    checked = preflight.check(stage, outputs, config, options)
    for warning in checked.warnings:
        say(f"Warning: {warning}")
    data, _ = source.upload_data(stage, outputs, config.data, seed=config.seed)
    channels = {"code": source.upload_source(stage, outputs), "data": data}
    if request.has_weights_file(config):
        channels["weights"] = source.upload_weights(stage, outputs, config.weights)
    return channels, checked.photos


def create(call: Callable[..., Any], parameters: dict[str, Any], kind: str) -> None:
    """Start a job of the kind. Raises JobError where SageMaker refuses it."""
    try:
        call(**parameters)
    except ClientError as error:
        remedies = {
            "ResourceLimitExceeded": f"Raise the account's quota for this instance type and {kind} jobs "
            "(Service Quotas, Amazon SageMaker), or take another type; ./inv doctor shows quotas.",
            "AccessDeniedException": "Your own rights need sagemaker:Create*Job, and iam:PassRole on the role.",
            "ResourceInUse": "Choose another name.",
        }
        code = error.response["Error"]["Code"]
        raise JobError(
            f"SageMaker starts the {kind} job.", error, remedies.get(code, "Correct what it names.")
        ) from error
    except BotoCoreError as error:
        raise KennelError("SageMaker can be reached.", error, "Check connection and credentials.") from error


def _job(kind: str, entry: dict[str, Any], what: str, end: str) -> Job:
    return Job(kind, entry[f"{what}Name"], entry[f"{what}Status"], entry["CreationTime"], entry.get(end))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
