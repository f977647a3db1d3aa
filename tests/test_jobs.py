"""Whole jobs on the embedded cloud: uploaded, started, followed, collected. The training in them is real."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from ml import artifact, metric_lines
from ml.config import TrainConfig
from ml.search_space import SearchSpace
from ml.train import code_state, train
from ops.jobs import follow, results, rights, sagemaker
from ops.jobs.logs import Logs
from ops.jobs.options import JobOptions
from ops.jobs.request import LOG_GROUP
from tests.conftest import MakePhotos
from tests.embedded_stage import embedded_stage
from tests.localcloud.training import TRUST

pytestmark = [pytest.mark.cloud, pytest.mark.long]

BUCKET = "kennel-local-artifacts"
ROLE = "kennel-local-training"
SMALL = JobOptions(instance_type="ml.m5.large", max_runtime=900)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with embedded_stage(tmp_path_factory.mktemp("cloud")) as stage:
        yield stage


@pytest.fixture(scope="module")
def outputs(stage: Any) -> dict[str, Any]:
    """What Terraform would have made, as far as jobs need it."""
    stage.client("s3").create_bucket(Bucket=BUCKET)
    bucket = f"arn:aws:s3:::{BUCKET}"
    rights = [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{bucket}/training/*"},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": "training/*"}},
        },
        {
            "Effect": "Allow",
            "Action": ["cloudwatch:PutMetricData", "ec2:*", "ecr:*", "logs:*"],
            "Resource": "*",
        },
    ]
    iam, ec2 = stage.client("iam"), stage.client("ec2")
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(RoleName=ROLE, PolicyName="rights", PolicyDocument=document(rights))
    subnets = ec2.describe_subnets()["Subnets"]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    tables = ec2.describe_route_tables()["RouteTables"]
    ec2.create_vpc_endpoint(
        VpcId=subnets[0]["VpcId"],
        ServiceName="com.amazonaws.us-east-1.s3",
        RouteTableIds=[table["RouteTableId"] for table in tables],
    )
    return {
        "prefix": "kennel-local",
        "artifact_bucket": BUCKET,
        "artifact_locations": {"scratch": f"s3://{BUCKET}/training/"},
        "subnet_ids": [subnets[0]["SubnetId"]],
        "security_group_id": groups[0]["GroupId"],
        "roles": {"training": {"name": ROLE, "arn": role["Arn"]}},
        "training_image": f"{stage.cloud.account_id}.dkr.ecr.us-east-1.amazonaws.com/kennel-training:local",
    }


def document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture
def photos(make_photos: MakePhotos) -> Path:
    counts = {"train": 12, "valid": 4, "test": 4}
    return make_photos({f"{split}/{name}": n for split, n in counts.items() for name in ("cat", "dog")})


def trained_here(config: TrainConfig, folder: Path) -> tuple[str, Path]:
    """The SHA-256 and the run of the same training in this process."""
    result = train(config, runs_dir=folder / "here", work_dir=folder / "work", progress=False)
    assert result is not None
    return result.sha256, result.run_dir


def followed(
    stage: Any, name: str, on_line: Callable[[str], None] = lambda _: None
) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        on_line(text)

    return follow.follow(stage, name, say, progress=False, interval=0.3), said


def silent(_: str) -> None:
    pass


def test_a_job_makes_the_model_that_training_here_makes(
    stage: Any, outputs: dict[str, Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(data=str(photos), epochs=3, seed=5, weight_decay=1.0, serving_precision="f32")
    code = code_state()
    monkeypatch.setattr("ml.train.code_state", lambda *_: code)  # a commit meanwhile would make another model
    name = sagemaker.start_training(stage, outputs, config, SMALL, silent)
    description, log = followed(stage, name)
    run = results.collect(stage, description, tmp_path / "runs")

    sha256, here = trained_here(config, tmp_path)
    assert run.sha256 == sha256
    assert run.archive.read_bytes() == (here / "model.tar.gz").read_bytes()
    assert {path.name for path in here.iterdir()} | {"job.json"} == {p.name for p in run.run_dir.iterdir()}
    there = json.loads((run.run_dir / "metrics.json").read_text())
    assert there["archive_sha256"] == sha256
    assert there["evaluation"] == json.loads((here / "metrics.json").read_text())["evaluation"]
    assert sum("epoch=" in line for line in log) == 3
    assert any("Uploading" in line for line in log)
    metrics = {each["MetricName"]: each["Value"] for each in description["FinalMetricDataList"]}
    assert metrics["valid:best_loss"] > 0
    assert sagemaker.list_jobs(stage)[0].name == name
    again = results.collect(stage, description, tmp_path / "runs")
    assert again == run
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.run_dir.name]


def test_two_instances_train_one_model(
    stage: Any, outputs: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    config = TrainConfig(
        data=str(photos), epochs=2, weight_decay=1.0, batch_size=8, unfreeze="last:1", serving_precision="f32"
    )
    options = dataclasses.replace(SMALL, instances=2)
    description, log = followed(stage, sagemaker.start_training(stage, outputs, config, options, silent))
    assert "algo-1: instance 1 of 2, 1 process(es) on each" in log
    assert "algo-2: instance 2 of 2, 1 process(es) on each" in log
    assert {line.partition(":")[0] for line in log if "epoch=" in line} == {"algo-1"}
    run = results.collect(stage, description, tmp_path / "runs")
    assert artifact.verify(run.archive)["network"]["num_classes"] == 2


def test_an_interrupted_spot_job_goes_on_from_its_checkpoints(
    stage: Any, outputs: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    config = TrainConfig(
        data=str(photos), epochs=6, weight_decay=1.0, batch_size=8, unfreeze="last:1", serving_precision="f32"
    )
    options = dataclasses.replace(SMALL, spot=True)
    name = sagemaker.start_training(stage, outputs, config, options, silent)
    interrupted: list[int] = []

    def interrupt(line: str) -> None:
        row = metric_lines.parse(line)
        if row is not None and row[0] == 2 and row[1] == 6 and not interrupted:
            interrupted.append(row[0])
            control.interrupt(stage.cloud.log_file.parent, name)

    description, _ = followed(stage, name, interrupt)
    assert interrupted
    states = [entry["Status"] for entry in description["SecondaryStatusTransitions"]]
    assert states.count("Interrupted") == 1
    assert states[-1] == "Completed"
    lines = Logs(stage.client("logs"), LOG_GROUP, name).fresh()
    begun = [number for number, line in enumerate(lines) if line.text.startswith("instance 1 of 1")]
    assert len(begun) == 2
    times = {row[0]: line.time for line in lines[begun[1] :] if (row := metric_lines.parse(line.text))}
    assert list(times) == [1, 2, 3, 4, 5, 6]
    # Epochs that the checkpoint holds are told again at once; those that are trained take their time.
    assert times[2] - times[1] < 0.2 * (times[6] - times[5])
    assert results.collect(stage, description, tmp_path / "runs").archive.is_file()


def test_a_job_that_fails_says_why(stage: Any, outputs: dict[str, Any], photos: Path) -> None:
    client = stage.client("s3")
    for path in photos.rglob("*.png"):
        content = b"no photo" if path.name == "cat_000.png" else path.read_bytes()
        client.put_object(Bucket=BUCKET, Key=f"training/bad/{path.relative_to(photos)}", Body=content)
    config = TrainConfig(data=f"s3://{BUCKET}/training/bad/")
    name = sagemaker.start_training(stage, outputs, config, SMALL, silent)
    with pytest.raises(follow.JobError, match=r"Failed: AlgorithmError: Data is checked[\s\S]*cat_000\.png"):
        followed(stage, name)


def test_a_job_can_be_stopped(stage: Any, outputs: dict[str, Any], photos: Path) -> None:
    config = TrainConfig(data=str(photos))
    name = sagemaker.start_training(stage, outputs, config, SMALL, silent)
    sagemaker.stop(stage, name)
    with pytest.raises(follow.JobError, match="Stopped"):
        followed(stage, name)
    sagemaker.stop(stage, name)  # which was told before
    with pytest.raises(follow.JobError, match="A job to stop is running"):
        sagemaker.stop(stage, "kennel-local-absent")


def test_a_role_without_rights_is_told_before_anything_is_uploaded(
    stage: Any, outputs: dict[str, Any], photos: Path
) -> None:
    arn = stage.client("iam").create_role(RoleName="unable", AssumeRolePolicyDocument=document([]))["Role"][
        "Arn"
    ]
    unable = outputs | {
        "roles": {"training": {"name": "unable", "arn": arn}},
        "artifact_locations": {"scratch": f"s3://{BUCKET}/untouched/"},
    }
    with pytest.raises(rights.RightsError, match="The role of the jobs may s3:GetObject"):
        sagemaker.start_training(stage, unable, TrainConfig(data=str(photos)), SMALL, silent)
    assert "Contents" not in stage.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="untouched/")


def test_a_tuning_job_tries_settings_and_names_the_best(
    stage: Any, outputs: dict[str, Any], photos: Path
) -> None:
    config = TrainConfig(data=str(photos), epochs=2, weight_decay=1.0, batch_size=8, serving_precision="f32")
    space = SearchSpace.load("learning_rate")
    name = sagemaker.start_tuning(stage, outputs, config, SMALL, silent, space=space, trials=2, parallel=2)
    description, log = followed(stage, name)
    best = description["BestTrainingJob"]
    assert 1e-4 <= float(best["TunedHyperParameters"]["learning_rate"]) <= 1e-2
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"] == metric_lines.OBJECTIVE
    assert sum("Completed" in line for line in log) == 2
    assert [job.kind for job in sagemaker.list_jobs(stage) if job.name == name] == ["tuning"]
