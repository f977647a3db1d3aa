"""What CreateTrainingJob takes: AWS's rules beyond the shapes, its defaults, and what is not implemented here."""

from __future__ import annotations

import copy
import re
from typing import Any

from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.utils import arn_formatter

from localcloud import accepted
from localcloud.actors import Actor
from localcloud.sagemaker.jobs import members, shapes
from localcloud.sagemaker.jobs.storage import Location, StorageError

_MAX_RUNTIME = 86_400  # s, where the request says nothing
_LONGEST_RUNTIME = 28 * 86_400  # s
SERVICE = "sagemaker.amazonaws.com"
_CHECKPOINTS = "/opt/ml/checkpoints"
_NOT_IMPLEMENTED = (
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "TensorBoardOutputConfig",
    "ExperimentConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig.EnableRemoteDebug",
    "InfraCheckConfig.EnableInfraCheck",
    "SessionChainingConfig.EnableSessionTagChaining",
    "ServerlessJobConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "AlgorithmSpecification.AlgorithmName",
    "AlgorithmSpecification.TrainingImageConfig",
    "ResourceConfig.InstanceGroups",
    "ResourceConfig.KeepAlivePeriodInSeconds",
    "ResourceConfig.TrainingPlanArn",
    "ResourceConfig.InstancePlacementConfig",
    "ResourceConfig.InstancePreferences",
    "StoppingCondition.MaxPendingTimeInSeconds",
)
_NOT_CARRIED_OUT = (
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "RetryStrategy",
    "OutputDataConfig.KmsKeyId",
    "ResourceConfig.VolumeKmsKeyId",
)


def complete(given: dict[str, Any], account_id: str, region: str, tuning_job_arn: str = "") -> dict[str, Any]:
    """The request with AWS's defaults.

    Raises:
        ValidationError: AWS refuses it.
        NotImplementedError: AWS takes it, and nothing here carries it out.
    """
    shapes.check("CreateTrainingJob", given)
    request = copy.deepcopy({name: value for name, value in given.items() if value is not None})
    members.refuse("CreateTrainingJob", request, _NOT_IMPLEMENTED)
    if request.get("ProfilerConfig") and not request["ProfilerConfig"].get("DisableProfiler"):
        raise NotImplementedError("CreateTrainingJob with ProfilerConfig other than DisableProfiler")
    for name in (
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
    ):
        request.setdefault(name, False)
    _algorithm(request)
    _resources(request)
    _stopping_condition(request)
    mine = actor(request, account_id, region, tuning_job_arn)
    _check_role(mine)
    _inputs(request, mine)
    _outputs(request, account_id)
    members.warn("CreateTrainingJob", request, _NOT_CARRIED_OUT)
    return request


def actor(request: dict[str, Any], account_id: str, region: str, by: str = "") -> Actor:
    """Who the job is to its role. `by`: the ARN of the tuning job that it is of."""
    vpc = request.get("VpcConfig") or {}
    return Actor(
        role=request["RoleArn"],
        account_id=account_id,
        region=region,
        service=SERVICE,
        arn=by or str(arn_formatter("training-job", request["TrainingJobName"], account_id, region)),
        subnets=tuple(vpc.get("Subnets") or ()),
        groups=tuple(vpc.get("SecurityGroupIds") or ()),
    )


def _algorithm(request: dict[str, Any]) -> None:
    algorithm = request.get("AlgorithmSpecification") or {}
    if not algorithm.get("TrainingImage"):
        raise ValidationError("You must specify either AlgorithmName or TrainingImage.")
    if algorithm["TrainingInputMode"] == "Pipe":
        raise NotImplementedError("CreateTrainingJob with TrainingInputMode Pipe")
    algorithm.setdefault("EnableSageMakerMetricsTimeSeries", False)
    if algorithm["EnableSageMakerMetricsTimeSeries"]:
        accepted.warn("CreateTrainingJob with EnableSageMakerMetricsTimeSeries")
    definitions = algorithm.get("MetricDefinitions") or []
    names = [one["Name"] for one in definitions]
    if len(set(names)) < len(names):
        raise ValidationError(f"Metric names must be unique, received {names}.")
    for one in definitions:
        try:
            re.compile(one["Regex"])
        except re.error as error:
            raise ValidationError(
                f"Invalid regular expression '{one['Regex']}' for metric '{one['Name']}': {error}"
            ) from error


def _resources(request: dict[str, Any]) -> None:
    resources = request.get("ResourceConfig") or {}
    for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
        here = f"resourceConfig.{name[0].lower()}{name[1:]}"
        if resources.get(name) is None:
            raise ValidationError(
                f"1 validation error detected: Value null at '{here}' failed to satisfy constraint: "
                "Member must not be null"
            )
        if name != "InstanceType" and resources[name] < 1:
            raise ValidationError(
                f"1 validation error detected: Value '{resources[name]}' at '{here}' failed to satisfy "
                "constraint: Member must have value greater than or equal to 1"
            )


def _stopping_condition(request: dict[str, Any]) -> None:
    condition = request.setdefault("StoppingCondition", {})
    runtime = condition.setdefault("MaxRuntimeInSeconds", _MAX_RUNTIME)
    if runtime > _LONGEST_RUNTIME:
        raise ValidationError(
            f"1 validation error detected: Value '{runtime}' at 'stoppingCondition.maxRuntimeInSeconds' failed to "
            f"satisfy constraint: Member must have value less than or equal to {_LONGEST_RUNTIME}"
        )
    wait = condition.get("MaxWaitTimeInSeconds")
    if request["EnableManagedSpotTraining"]:
        if wait is None or wait < runtime:
            raise ValidationError(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise ValidationError(
            "Invalid MaxWaitTimeInSeconds. It must be set only for managed spot training "
            "(EnableManagedSpotTraining)"
        )


def _check_role(actor: Actor) -> None:
    if not actor.assumable():
        raise ValidationError(
            f"Could not assume role {actor.role}. Please ensure that the role exists and allows principal "
            f"'{SERVICE}' to assume the role."
        )


def _inputs(request: dict[str, Any], actor: Actor) -> None:
    channels = request.get("InputDataConfig") or []
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        raise ValidationError(f"Channel names must be unique, received {names}.")
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    if "FastFile" in {channel.get("InputMode", default) for channel in channels}:
        accepted.warn("CreateTrainingJob with FastFile")
    for channel in channels:
        _refuse_other_than_files(channel)
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        location = Location.of(uri, actor.account_id, actor.outside)
        try:
            found = location.objects()
        except StorageError:
            found = []
        if not found:
            raise ValidationError(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
                f"bucket exists in the selected region ({actor.region}), that objects exist under that S3 prefix, and "
                f'that the role "{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket '
                f'"{location.bucket}".'
            )


def _refuse_other_than_files(channel: dict[str, Any]) -> None:
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise NotImplementedError("CreateTrainingJob with a data source other than S3DataSource")
    if source["S3DataType"] != "S3Prefix":
        raise NotImplementedError(f"CreateTrainingJob with S3DataType {source['S3DataType']}")
    for name in ("AttributeNames", "InstanceGroupNames", "ModelAccessConfig", "HubAccessConfig"):
        if source.get(name):
            raise NotImplementedError(f"CreateTrainingJob with {name} of a channel")
    if channel.get("CompressionType", "None") != "None":
        raise NotImplementedError("CreateTrainingJob with CompressionType Gzip of a channel")
    if channel.get("RecordWrapperType", "None") != "None":
        raise NotImplementedError("CreateTrainingJob with RecordWrapperType RecordIO of a channel")
    if channel.get("ShuffleConfig"):
        raise NotImplementedError("CreateTrainingJob with ShuffleConfig of a channel")
    if channel.get("InputMode") == "Pipe":
        raise NotImplementedError("CreateTrainingJob with InputMode Pipe of a channel")


def _outputs(request: dict[str, Any], account_id: str) -> None:
    Location.of(request["OutputDataConfig"]["S3OutputPath"], account_id)
    config = request.get("CheckpointConfig")
    if config is None:
        return
    path = config.setdefault("LocalPath", _CHECKPOINTS)
    Location.of(config["S3Uri"], account_id)
    if not path.startswith("/opt/ml/") or ".." in path.split("/"):
        raise NotImplementedError("CreateTrainingJob with CheckpointConfig.LocalPath outside of /opt/ml")
