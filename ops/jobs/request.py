"""The requests that make SageMaker train and tune, as boto3 sends them. Pure: nothing is read, nothing is called."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from ml import metric_lines
from ml.config import TrainConfig
from ops.jobs.entrypoint import BASE, ENTRYPOINT
from ops.jobs.options import MAX_JOB_NAME, MAX_TUNING_NAME, JobOptions, OptionError
from ops.jobs.source import as_prefix

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ATTEMPTS = 3  # after failures of SageMaker's own

Request = dict[str, Any]


def training_job(
    config: TrainConfig,
    outputs: Mapping[str, Any],
    options: JobOptions,
    channels: Mapping[str, str],
    name: str,
) -> Request:
    """Return the parameters of CreateTrainingJob. `channels` maps code, data and perhaps weights to s3:// prefixes."""
    definition = _definition(config, outputs, options, channels, name)
    definition["AlgorithmSpecification"]["ContainerEntrypoint"] = ENTRYPOINT
    return {
        "TrainingJobName": name,
        **definition,
        "HyperParameters": hyperparameters(config),
        "Tags": _tags(outputs),
    }


def tuning_job(
    config: TrainConfig,
    outputs: Mapping[str, Any],
    options: JobOptions,
    channels: Mapping[str, str],
    name: str,
    *,
    ranges: Mapping[str, list[dict[str, Any]]],
    trials: int,
    parallel: int,
    early_stopping: bool,
) -> Request:
    """Return the parameters of CreateHyperParameterTuningJob."""
    tuned = {entry["Name"] for entries in ranges.values() for entry in entries}
    static = {key: value for key, value in hyperparameters(config).items() if key not in tuned}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": metric_lines.OBJECTIVE},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": trials,
                "MaxParallelTrainingJobs": min(parallel, trials),
            },
            "ParameterRanges": {kind: entries for kind, entries in ranges.items() if entries},
            "TrainingJobEarlyStoppingType": "Auto" if early_stopping else "Off",
            "RandomSeed": config.seed,
        },
        "TrainingJobDefinition": {
            **_definition(config, outputs, options, channels, name),
            "StaticHyperParameters": static,
        },
        "Tags": _tags(outputs),
    }


def hyperparameters(config: TrainConfig) -> dict[str, str]:
    """Return the settings as SageMaker takes them: texts. Data and weights' files come as channels."""
    settings = config.to_dict()
    del settings["data"]
    if has_weights_file(config):
        del settings["weights"]
    return {name: json.dumps(value) for name, value in settings.items()}


def has_weights_file(config: TrainConfig) -> bool:
    """Whether the backbone's weights are a file that has to be brought along."""
    return config.weights not in ("packaged", "imagenet")


def job_name(outputs: Mapping[str, Any], options: JobOptions, now: datetime.datetime, *, tuning: bool) -> str:
    """Return the name that was asked for, or one by the time; the role is good for the stage's prefix only.

    Raises:
        OptionError: the name does not begin with the prefix, or is too long.
    """
    prefix, most = f"{outputs['prefix']}-", MAX_TUNING_NAME if tuning else MAX_JOB_NAME
    # Of the year two digits, and hundredths of a second: a tuning job's name has few characters to spare.
    stamp = f"{now:%y%m%d%H%M%S}{now.microsecond // 10_000:02}" if tuning else f"{now:%Y%m%d-%H%M%S-%f}"
    name = options.name or f"{prefix}{stamp}"
    if not name.startswith(prefix) or len(name) > most:
        raise OptionError(
            f"A job's name begins with {prefix}, for which its role is good, and has at most {most} characters.",
            name,
            f"Name it, for example {prefix}1.",
        )
    return name


def output_location(outputs: Mapping[str, Any]) -> str:
    """Return where SageMaker puts the archives of finished jobs, by job."""
    return f"{outputs['artifact_locations']['scratch']}jobs/"


def checkpoint_location(outputs: Mapping[str, Any], options: JobOptions, name: str) -> str | None:
    """Return where the job's checkpoints are kept, None where nowhere."""
    if options.checkpoints == "none":
        return None
    return options.checkpoints or f"{outputs['artifact_locations']['scratch']}checkpoints/{name}/"


def _definition(
    config: TrainConfig,
    outputs: Mapping[str, Any],
    options: JobOptions,
    channels: Mapping[str, str],
    name: str,
) -> Request:
    """What a training job and the trials of a tuning job have in common."""
    stopping = {"MaxRuntimeInSeconds": options.max_runtime}
    if options.spot:
        stopping["MaxWaitTimeInSeconds"] = options.wait_seconds
    definition: Request = {
        "AlgorithmSpecification": {
            "TrainingImage": outputs["training_image"],
            "TrainingInputMode": options.input_mode,
            "MetricDefinitions": metric_lines.definitions(),
        },
        "RoleArn": outputs["roles"]["training"]["arn"],
        # Code and weights are files to be read whole, however the photos come.
        "InputDataConfig": [
            _channel(channel, uri, options.input_mode if channel == "data" else "File")
            for channel, uri in channels.items()
        ],
        "OutputDataConfig": {"S3OutputPath": output_location(outputs)},
        "ResourceConfig": {
            "InstanceType": options.instance_type,
            "InstanceCount": options.instances,
            "VolumeSizeInGB": options.volume_gb,
        },
        "StoppingCondition": stopping,
        "VpcConfig": {
            "Subnets": list(outputs["subnet_ids"]),
            "SecurityGroupIds": [outputs["security_group_id"]],
        },
        # The platform brings channels in and takes results out; instances reach each other all the same. Only weights
        # that are to be downloaded need a way to anything else.
        "EnableNetworkIsolation": config.weights != "imagenet",
        "EnableInterContainerTrafficEncryption": options.encrypt_traffic and options.instances > 1,
        "EnableManagedSpotTraining": options.spot,
        "RetryStrategy": {"MaximumRetryAttempts": ATTEMPTS},
    }
    checkpoints = checkpoint_location(outputs, options, name)
    if checkpoints is not None:
        definition["CheckpointConfig"] = {"S3Uri": checkpoints, "LocalPath": f"{BASE}/checkpoints"}
    if options.processes:
        definition["Environment"] = {"KENNEL_PROCESSES": str(options.processes)}
    return definition


def _channel(name: str, uri: str, mode: str) -> Request:
    source = {"S3DataType": "S3Prefix", "S3Uri": as_prefix(uri), "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": mode}


def _tags(outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Key": "kennel:stage", "Value": outputs["prefix"]}]
