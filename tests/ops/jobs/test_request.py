from __future__ import annotations

import datetime
import functools
import itertools
import json
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator

from ml import metric_lines
from ml.config import TrainConfig
from ml.search_space import SearchSpace
from ops.jobs import request
from ops.jobs.entrypoint import ENTRYPOINT
from ops.jobs.options import JobOptions, OptionError
from ops.jobs.request import training_job, tuning_job
from ops.paths import ROOT

CHANNELS = {"code": "s3://b/training/source/0/", "data": "s3://theirs/dogImages"}
NAME = "kennel-dev-1"
NOW = datetime.datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=datetime.UTC)
RANGES = SearchSpace.load("all").to_sagemaker()

OPTIONS = [
    JobOptions(spot=spot, checkpoints=checkpoints, instances=instances, encrypt_traffic=encrypt, **more)
    for spot, checkpoints, instances, encrypt, more in itertools.product(
        (False, True),
        (None, "none", "s3://b/kept/"),
        (1, 2),
        (False, True),
        (
            {},
            {
                "processes": 2,
                "input_mode": "FastFile",
                "max_runtime": 3600,
                "instance_type": "ml.p4d.24xlarge",
            },
        ),
    )
    if not (spot and checkpoints == "none")
]


def tuning(config: TrainConfig, outputs: dict[str, Any], options: JobOptions, **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"ranges": RANGES, "trials": 6, "parallel": 2, "early_stopping": True}
    return tuning_job(config, outputs, options, CHANNELS, NAME, **settings | more)


def problems(operation: str, parameters: dict[str, Any]) -> str:
    """What SageMaker's own model of the request finds wrong with it, unknown fields included."""
    shape = service_model().operation_model(operation).input_shape
    return str(ParamValidator().validate(parameters, shape).generate_report())


@functools.cache
def service_model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_request_fits_the_model_of_the_service(outputs: dict[str, Any], options: JobOptions) -> None:
    config = TrainConfig()
    assert problems("CreateTrainingJob", training_job(config, outputs, options, CHANNELS, NAME)) == ""
    assert problems("CreateHyperParameterTuningJob", tuning(config, outputs, options)) == ""


def test_the_check_above_knows_a_bad_request(outputs: dict[str, Any]) -> None:
    wrong = training_job(TrainConfig(), outputs, JobOptions(), CHANNELS, NAME) | {"Spot": True}
    assert "Spot" in problems("CreateTrainingJob", wrong)


def sent(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The request's body as it leaves this machine."""
    bodies: list[bytes] = []

    def hold(request: Any, **_: Any) -> Any:
        bodies.append(request.body)
        raise ConnectionAbortedError

    client = boto3.client(
        "sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    client.meta.events.register("before-send.sagemaker", hold)
    with pytest.raises(ConnectionAbortedError):
        getattr(client, operation)(**parameters)
    body: dict[str, Any] = json.loads(bodies[0])
    return body


def test_what_is_asked_for_is_what_is_sent(outputs: dict[str, Any]) -> None:
    options = JobOptions(spot=True, instances=2, encrypt_traffic=True, processes=4, max_runtime=600)
    body = sent("create_training_job", training_job(TrainConfig(seed=7), outputs, options, CHANNELS, NAME))
    assert body == {
        "TrainingJobName": NAME,
        "AlgorithmSpecification": {
            "TrainingImage": outputs["training_image"],
            "TrainingInputMode": "File",
            "MetricDefinitions": metric_lines.definitions(),
            "ContainerEntrypoint": [
                "/bin/sh",
                "-c",
                "mkdir -p /opt/ml/code && tar -xzf /opt/ml/input/data/code/source.tar.gz -C /opt/ml/code"
                " && cd /opt/ml/code && exec python3 -m ml.jobs.container",
            ],
        },
        "RoleArn": "arn:aws:iam::123456789012:role/kennel-dev-training",
        "InputDataConfig": [
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
                "InputMode": "File",
            }
            for name, uri in (("code", "s3://b/training/source/0/"), ("data", "s3://theirs/dogImages/"))
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://kennel-dev-artifacts/training/jobs/"},
        "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
        "VpcConfig": {"Subnets": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]},
        "EnableNetworkIsolation": True,
        "EnableInterContainerTrafficEncryption": True,
        "EnableManagedSpotTraining": True,
        "RetryStrategy": {"MaximumRetryAttempts": 3},
        "CheckpointConfig": {
            "S3Uri": f"s3://kennel-dev-artifacts/training/checkpoints/{NAME}/",
            "LocalPath": "/opt/ml/checkpoints",
        },
        "Environment": {"KENNEL_PROCESSES": "4"},
        "HyperParameters": request.hyperparameters(TrainConfig(seed=7)),
        "Tags": [{"Key": "kennel:stage", "Value": "kennel-dev"}],
    }


def test_a_tuning_job_sends_all_that_a_training_job_sends(outputs: dict[str, Any]) -> None:
    options = JobOptions(spot=True, instances=2, encrypt_traffic=True, processes=4)
    training = sent("create_training_job", training_job(TrainConfig(), outputs, options, CHANNELS, NAME))
    body = sent("create_hyper_parameter_tuning_job", tuning(TrainConfig(), outputs, options))
    trial = body["TrainingJobDefinition"]
    # A tuning job has no entrypoint: the image's `train` does the same.
    del training["AlgorithmSpecification"]["ContainerEntrypoint"]
    for name in training.keys() - {"TrainingJobName", "HyperParameters", "Tags"}:
        assert trial[name] == training[name], name
    assert body["Tags"] == training["Tags"]
    assert body["HyperParameterTuningJobConfig"] == {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "valid:best_loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": RANGES,
        "TrainingJobEarlyStoppingType": "Auto",
        "RandomSeed": 0,
    }


def test_what_is_tuned_is_not_given_too(outputs: dict[str, Any]) -> None:
    body = tuning(TrainConfig(), outputs, JobOptions())
    tuned = {entry["Name"] for entries in RANGES.values() for entry in entries}
    static = body["TrainingJobDefinition"]["StaticHyperParameters"]
    assert tuned & set(static) == set()
    assert tuned | set(static) == set(request.hyperparameters(TrainConfig()))


def test_the_objective_is_a_metric_that_the_job_prints(outputs: dict[str, Any]) -> None:
    body = tuning(TrainConfig(), outputs, JobOptions())
    names = {
        each["Name"] for each in body["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert body["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"] in names


def test_settings_come_out_of_the_texts_as_they_went_in() -> None:
    config = TrainConfig(weight_decay=None, learning_rate=1e-3, unfreeze="last:2", seed=3)
    read = {name: json.loads(text) for name, text in request.hyperparameters(config).items()}
    assert TrainConfig.from_dict(read) == config


def test_weights_in_a_file_are_not_told_by_their_path_here(tmp_path: Any) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"")
    assert "weights" not in request.hyperparameters(TrainConfig(weights=str(weights)))


@pytest.mark.parametrize(("weights", "isolated"), [("packaged", True), ("imagenet", False)])
def test_a_job_has_a_network_only_where_weights_are_downloaded(
    outputs: dict[str, Any], weights: str, isolated: bool
) -> None:
    body = training_job(TrainConfig(weights=weights), outputs, JobOptions(), CHANNELS, NAME)
    assert body["EnableNetworkIsolation"] is isolated


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("s3://theirs/photos", "s3://theirs/photos/"),
        ("s3://theirs/photos/", "s3://theirs/photos/"),
        ("s3://theirs/photos.v2", "s3://theirs/photos.v2/"),
        ("s3://theirs/photos.tar.gz", "s3://theirs/photos.tar.gz"),
    ],
)
def test_a_folder_does_not_bring_its_neighbours(outputs: dict[str, Any], given: str, prefix: str) -> None:
    body = training_job(TrainConfig(), outputs, JobOptions(), {"data": given}, NAME)
    assert body["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == prefix


def test_names_by_the_time_fit_and_begin_with_the_prefix(outputs: dict[str, Any]) -> None:
    assert request.job_name(outputs, JobOptions(), NOW, tuning=False) == "kennel-dev-20261123-010203-456789"
    assert request.job_name(outputs, JobOptions(), NOW, tuning=True) == "kennel-dev-26112301020345"


@pytest.mark.parametrize(
    ("name", "tuning"), [("mine", False), ("kennel-dev", False), ("kennel-dev-" + "a" * 22, True)]
)
def test_a_name_that_the_role_is_not_good_for_is_refused(
    outputs: dict[str, Any], name: str, tuning: bool
) -> None:
    with pytest.raises(OptionError, match=r"begins with kennel-dev-.*at most"):
        request.job_name(outputs, JobOptions(name=name), NOW, tuning=tuning)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instance_type": "g4dn.xlarge"}, r"ml\.family\.size"),
        ({"instance_type": "ml.g4dn"}, r"ml\.family\.size"),
        ({"instances": 0}, "instances is a whole number from 1 to 100"),
        ({"processes": -1}, "processes is a whole number"),
        ({"volume_gb": 0}, "volume_gb is a whole number"),
        ({"max_runtime": 10}, "max_runtime is a whole number"),
        ({"spot": True, "max_runtime": 3600, "max_wait": 1800}, "max_wait includes max_runtime"),
        ({"max_wait": 7200}, "Only spot training waits"),
        ({"spot": True, "checkpoints": "none"}, "Spot training needs checkpoints"),
        ({"checkpoints": "kept/here"}, "Checkpoints lie in a bucket"),
        ({"input_mode": "Pipe"}, "File or FastFile"),
        ({"name": "-bad-"}, "letters, digits and hyphens"),
    ],
)
def test_a_job_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        JobOptions(**options)


@pytest.mark.parametrize(
    ("instance_type", "has_gpu"),
    [
        ("ml.g4dn.xlarge", True),
        ("ml.p4de.24xlarge", True),
        ("ml.m5.large", False),
        ("ml.c7i.4xlarge", False),
        ("ml.trn1.32xlarge", None),
    ],
)
def test_the_family_tells_whether_there_is_a_gpu(instance_type: str, has_gpu: bool | None) -> None:
    assert JobOptions(instance_type=instance_type).has_gpu is has_gpu


def test_the_training_image_starts_as_jobs_are_told_to() -> None:
    dockerfile = (ROOT / "ml" / "jobs" / "Dockerfile").read_text()
    assert f"'{ENTRYPOINT[2]}'" in dockerfile
