"""Training jobs for tests: a container is a line of shell."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from localcloud import control
from localcloud.control import CloudInfo
from tests.localcloud.endpoints import make_role

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/training"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/trainer:1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
_numbers = itertools.count(1)
_model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def start_cloud(folder: Path) -> CloudInfo:
    """A cloud with four training instances of a type, and little patience. Its image `trainer` runs $SCRIPT."""
    images = folder / "images.json"
    trainer = {"train": ["/bin/sh", "-c", 'eval "$SCRIPT"', "/opt/ml/train"], "env": {"GREETING": "hello"}}
    images.write_text(json.dumps({"trainer": trainer, "server": {"serve": ["true"]}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLOUD_TRAINING_GRACE", "1")
        patch.setenv("LOCALCLOUD_TRAINING_INSTANCES", "4")
        return control.start(folder, images=images, lifetime=600)


class Trainer:
    """Makes training jobs with names of their own in the bucket "training"."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.client = client
        self.sagemaker = client("sagemaker")
        self.s3 = client("s3")
        self.s3.create_bucket(Bucket="training")
        make_role(client("iam"), ROLE)

    def put(self, **objects: str) -> None:
        for name, content in objects.items():
            self.s3.put_object(Bucket="training", Key=name.replace("__", "/"), Body=content.encode())

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket="training", Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in found]

    def request(self, script: str, *, count: int = 1, runtime: int = 60, **more: Any) -> dict[str, Any]:
        """A request for `script`; `more` replaces what is there at the top."""
        algorithm = {
            "TrainingImage": more.pop("image", IMAGE),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", script],
            **more.pop("algorithm", {}),
        }
        return {
            "TrainingJobName": f"job-{next(_numbers)}",
            "AlgorithmSpecification": algorithm,
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://training/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": runtime},
            **more,
        }

    def start(self, script: str, **more: Any) -> str:
        request = self.request(script, **more)
        self.sagemaker.create_training_job(**request)
        return str(request["TrainingJobName"])

    def run(self, script: str, **more: Any) -> dict[str, Any]:
        """The description of the job once it is over."""
        return self.over(self.start(script, **more))

    def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        check_answer("DescribeTrainingJob", answer)
        return answer

    def over(self, name: str) -> dict[str, Any]:
        return self.until(name, lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))

    def until(
        self, name: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 20
    ) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not holds(job := self.describe(name)):
            assert time.monotonic() < deadline, job
            time.sleep(0.03)
        return job

    def in_training(self, name: str, *, line: str) -> None:
        """Wait until the job's log has the line."""
        deadline = time.monotonic() + 20
        while line not in (log := self.log(name)):
            assert time.monotonic() < deadline, (log, self.describe(name))
            time.sleep(0.03)

    def log(self, name: str, host: str = "algo-1") -> list[str]:
        """The lines of all attempts."""
        group, logs = "/aws/sagemaker/TrainingJobs", self.client("logs")
        lines = []
        try:
            prefix = f"{name}/{host}-"
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        for stream in streams:
            events = logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )
            lines += [event["message"] for event in events["events"]]
        return lines

    def archive(self, name: str, file: str = "model.tar.gz") -> dict[str, str]:
        """The contents of what the job uploaded, by file."""
        key = f"out/{name}/output/{file}"
        body = self.s3.get_object(Bucket="training", Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
            return {one.name: tar.extractfile(one).read().decode() for one in tar}  # type: ignore[union-attr]


def channel(name: str, prefix: str, **source: str) -> dict[str, Any]:
    where = {"S3DataType": "S3Prefix", "S3Uri": f"s3://training/{prefix}", **source}
    return {"ChannelName": name, "DataSource": {"S3DataSource": where}}


def check_answer(operation: str, answer: dict[str, Any]) -> None:
    """The answer has the required members of its shape, of the right types, and no others."""
    given = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    shape = _model.operation_model(operation).output_shape
    report = ParamValidator().validate(given, shape)
    assert not report.has_errors(), report.generate_report()
