from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from localcloud import control
from localcloud.accepted import accepted_only
from localcloud.control import CloudInfo
from localcloud.errors import CloudError
from localcloud.process_identity import start_mark
from localcloud.sagemaker.jobs.checkpoints import Checkpoints
from localcloud.sagemaker.jobs.settings import Settings, from_environment
from localcloud.sagemaker.jobs.storage import Location
from tests.localcloud.training import ACCOUNT, IMAGE, ROLE, Trainer, channel, check_answer, start_cloud

ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job"
FOREVER = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    info = start_cloud(tmp_path_factory.mktemp("cloud"))
    yield info
    control.stop(info.log_file.parent)


@pytest.fixture(scope="module")
def trainer(cloud: CloudInfo, connect: Callable[[CloudInfo], Callable[[str], Any]]) -> Trainer:
    return Trainer(connect(cloud))


def states(job: dict[str, Any]) -> list[str]:
    return [entry["Status"] for entry in job["SecondaryStatusTransitions"]]


def refused(trainer: Trainer, script: str = "true", **request: Any) -> tuple[str, str]:
    """Code and message of the refusal."""
    with pytest.raises(ClientError) as caught:
        trainer.start(script, **request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# Life


def test_a_job_goes_through_its_states_and_leaves_a_model(trainer: Trainer) -> None:
    job = trainer.run("echo weights > /opt/ml/model/w; mkdir /opt/ml/model/d; echo x > /opt/ml/model/d/x")
    name = job["TrainingJobName"]
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert states(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    times = [entry[end] for entry in job["SecondaryStatusTransitions"] for end in ("StartTime", "EndTime")]
    assert times == sorted(times)
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job completed"
    assert (
        job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"] == job["LastModifiedTime"]
    )
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://training/out/{name}/output/model.tar.gz"
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    assert trainer.archive(name) == {"w": "weights\n", "d/x": "x\n"}
    assert trainer.keys(f"out/{name}") == [f"out/{name}/output/model.tar.gz"]  # no output data: no archive


def test_the_image_is_run_where_the_request_names_no_entry_point(trainer: Trainer) -> None:
    algorithm = {"TrainingImage": IMAGE, "TrainingInputMode": "File", "ContainerArguments": ["/opt/ml/a"]}
    script = {"SCRIPT": 'echo "$GREETING from $0 $1" > /opt/ml/model/said'}
    job = trainer.run("", AlgorithmSpecification=algorithm, Environment=script)
    said = trainer.archive(job["TrainingJobName"])["said"].split()
    base = said[2].removesuffix("/train")
    assert base.endswith("/opt/ml")
    assert base != "/opt/ml"
    assert said == ["hello", "from", f"{base}/train", f"{base}/a"]


def test_a_container_finds_its_configuration(trainer: Trainer) -> None:
    trainer.put(c__in__a="1")
    script = (
        "cd /opt/ml/input/config && cat hyperparameters.json && echo && cat resourceconfig.json && echo && "
        "cat inputdataconfig.json && echo && env && command -v python3 && touch $TMPDIR/x && pwd"
    )
    job = trainer.run(
        script,
        HyperParameters={"rate": "0.1"},
        Environment={"MINE": "at /opt/ml/code, not /opt/mlx"},
        InputDataConfig=[channel("my-data", "c/in")],
    )
    name = job["TrainingJobName"]
    log = trainer.log(name)
    base = log[-1].removesuffix("/input/config")
    assert json.loads(log[0]) == {"rate": "0.1"}
    assert json.loads(log[1]) == {
        "current_host": "algo-1",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.m5.large",
                "hosts": ["algo-1"],
            }
        ],
        "network_interface_name": "lo",
    }
    assert json.loads(log[2]) == {
        "my-data": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    assert log[-2] == str(Path(sys.executable).parent / "python3")
    environment = dict(line.split("=", 1) for line in log[3:-2])
    assert environment["SAGEMAKER_BASE_DIR"] == base
    assert environment["MINE"] == f"at {base}/code, not /opt/mlx"
    assert environment["SM_CHANNEL_MY_DATA"] == f"{base}/input/data/my-data"
    assert environment["SM_MODEL_DIR"] == f"{base}/model"
    assert environment["TRAINING_JOB_NAME"] == name
    assert environment["TRAINING_JOB_ARN"] == job["TrainingJobArn"] == f"{ARN}/{name}"
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert not Path(base).exists()  # nothing is left on the machine


def test_an_isolated_container_gets_no_credentials(trainer: Trainer) -> None:
    job = trainer.run("env | grep ^AWS_ | sort", EnableNetworkIsolation=True)
    assert trainer.log(job["TrainingJobName"]) == ["AWS_DEFAULT_REGION=us-east-1", "AWS_REGION=us-east-1"]
    assert job["EnableNetworkIsolation"]
    assert "CreateTrainingJob with EnableNetworkIsolation" in accepted_only()


def test_instances_share_a_master_and_each_has_its_own_folder(trainer: Trainer) -> None:
    script = (
        "h=$SM_CURRENT_HOST; cd /opt/ml; echo $h > model/$h; echo $h > model/both; echo $h > output/data/$h; "
        "echo $MASTER_ADDR:$MASTER_PORT; pwd; grep -o current_host....algo-. input/config/resourceconfig.json"
    )
    job = trainer.run(script, count=2)
    name = job["TrainingJobName"]
    assert trainer.archive(name) == {"algo-1": "algo-1\n", "algo-2": "algo-2\n", "both": "algo-1\n"}
    assert trainer.archive(name, "output.tar.gz") == {"algo-1": "algo-1\n", "algo-2": "algo-2\n"}
    first, second = trainer.log(name, "algo-1"), trainer.log(name, "algo-2")
    assert first[0] == second[0]
    assert first[0].startswith("127.0.0.1:")
    assert first[1] != second[1]
    assert (first[2], second[2]) == ('current_host": "algo-1', 'current_host": "algo-2')


def test_outputs_may_stay_uncompressed(trainer: Trainer) -> None:
    where = {"S3OutputPath": "s3://training/out/", "CompressionType": "NONE"}
    job = trainer.run("echo w > /opt/ml/model/w", OutputDataConfig=where)
    folder = f"out/{job['TrainingJobName']}/output/model/"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://training/{folder}"
    assert trainer.keys(folder) == [f"{folder}w"]


# Inputs


@pytest.mark.parametrize(
    ("prefix", "files"),
    [
        ("i1/in/", ["a", "d/b"]),
        ("i1/in", ["a", "d/b"]),
        ("i1/in/a", ["a"]),
        ("i1/i", ["in/a", "in/d/b"]),
    ],
)
def test_a_channel_is_what_lies_under_its_prefix(trainer: Trainer, prefix: str, files: list[str]) -> None:
    trainer.put(i1__in__a="1", i1__in__d__b="2", i1__in__d__="")
    job = trainer.run(
        "cd /opt/ml/input/data/x && find . -type f | sort", InputDataConfig=[channel("x", prefix)]
    )
    assert trainer.log(job["TrainingJobName"]) == [f"./{name}" for name in files]


def test_instances_get_all_of_a_replicated_and_a_share_of_a_sharded_channel(trainer: Trainer) -> None:
    trainer.put(i2__a="1", i2__b="2", i2__c="3")
    job = trainer.run(
        "cd /opt/ml/input/data && ls all share && stat -c %h all/a",
        count=2,
        InputDataConfig=[
            channel("all", "i2/"),
            channel("share", "i2/", S3DataDistributionType="ShardedByS3Key"),
        ],
    )
    name = job["TrainingJobName"]
    assert trainer.log(name, "algo-1") == [
        "all:",
        "a",
        "b",
        "c",
        "share:",
        "a",
        "c",
        "2",
    ]  # two links: one copy
    assert trainer.log(name, "algo-2") == ["all:", "a", "b", "c", "share:", "b", "2"]


def test_a_key_that_leads_out_of_the_channel_fails_the_job(trainer: Trainer) -> None:
    trainer.s3.put_object(Bucket="training", Key="i3/../../x", Body=b"")
    job = trainer.run("true", InputDataConfig=[channel("x", "i3/")])
    assert job["TrainingJobStatus"] == "Failed"
    assert "has an illegal char sub-sequence" in job["FailureReason"]


# Failure


def test_a_container_that_fails_fails_the_job_in_its_own_words(trainer: Trainer) -> None:
    job = trainer.run(
        "echo no luck > /opt/ml/output/failure; echo d > /opt/ml/output/data/d; echo w > /opt/ml/model/w; exit 3"
    )
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == "AlgorithmError: no luck\n, exit code: 3"
    assert states(job) == ["Starting", "Downloading", "Training", "Uploading", "Failed"]
    name = job["TrainingJobName"]
    assert trainer.keys(f"out/{name}") == [f"out/{name}/output/output.tar.gz"]  # nobody takes it for a model


@pytest.mark.parametrize(("script", "code"), [("exit 1", 1), ("kill -9 $$", 137), ("exec /no/such", 127)])
def test_a_container_that_says_nothing_fails_with_its_exit_code(
    trainer: Trainer, script: str, code: int
) -> None:
    assert trainer.run(script)["FailureReason"] == f"AlgorithmError: , exit code: {code}"


def test_one_failed_instance_ends_the_others(trainer: Trainer) -> None:
    started = time.monotonic()
    job = trainer.run(f"test $SM_CURRENT_HOST = algo-1 || exit 2; {FOREVER}", count=3)
    assert job["FailureReason"] == "AlgorithmError: , exit code: 2"
    assert time.monotonic() - started < 10


def test_an_unknown_image_fails_the_job(trainer: Trainer) -> None:
    for image in (f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/absent:1", IMAGE.replace("trainer", "server")):
        job = trainer.run("true", image=image)
        repository = image.partition("/")[2].partition(":")[0]
        assert job["TrainingJobStatus"] == "Failed"
        expected = f"ClientError: Cannot find repository: {repository} in registry ID: {ACCOUNT} Please check"
        assert job["FailureReason"].startswith(expected)
        assert states(job) == ["Starting", "Failed"]


def test_a_missing_output_bucket_fails_the_upload(trainer: Trainer) -> None:
    job = trainer.run("true", OutputDataConfig={"S3OutputPath": "s3://no-such-bucket/out"})
    assert job["TrainingJobStatus"] == "Failed"
    assert "NoSuchBucket (404)" in job["FailureReason"]


# Limits of time


def test_a_job_that_takes_too_long_stops_and_keeps_its_model(trainer: Trainer) -> None:
    job = trainer.run(f"echo w > /opt/ml/model/w; {FOREVER}", runtime=1)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert job["TrainingTimeInSeconds"] >= 2  # what is begun is counted
    assert trainer.archive(job["TrainingJobName"]) == {"w": "w\n"}


def test_a_stopped_job_has_time_to_save_its_model(trainer: Trainer) -> None:
    script = "trap 'echo late > /opt/ml/model/w; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    name = trainer.start(script, count=2)
    trainer.in_training(name, line="up")
    trainer.sagemaker.stop_training_job(TrainingJobName=name)
    assert trainer.describe(name)["TrainingJobStatus"] in ("Stopping", "Stopped")
    job = trainer.over(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert states(job)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert trainer.archive(name) == {"w": "late\n"}
    with pytest.raises(ClientError) as caught:
        trainer.sagemaker.stop_training_job(TrainingJobName=name)
    error = caught.value.response["Error"]
    assert error["Message"] == "The request was rejected because the training job is in status Stopped."


def test_only_the_first_process_of_a_container_is_told_to_stop(trainer: Trainer) -> None:
    script = (
        "sh -c 'trap \"echo told\" TERM; echo up; while :; do sleep 0.05; done' & "
        "trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done"
    )
    name = trainer.start(script)
    trainer.in_training(name, line="up")
    trainer.sagemaker.stop_training_job(TrainingJobName=name)
    trainer.over(name)
    assert trainer.log(name) == ["up"]


def test_a_container_that_does_not_heed_sigterm_is_killed(trainer: Trainer) -> None:
    name = trainer.start("trap '' TERM; echo up; while :; do sleep 0.05; done")
    trainer.in_training(name, line="up")
    trainer.sagemaker.stop_training_job(TrainingJobName=name)
    assert trainer.over(name)["TrainingJobStatus"] == "Stopped"


# Checkpoints and spot instances

# Counts on from the checkpoint, one step every 50 ms, as long as there are fewer than $STEPS.
COUNTING = (
    "cd /opt/ml/checkpoints; n=$(cat step 2>/dev/null || echo 0); echo from $n; "
    "while [ $n -lt $STEPS ]; do n=$((n+1)); echo $n > step.tmp; mv step.tmp step; sleep 0.05; done; "
    "cp step /opt/ml/model/step"
)


def checkpoints(folder: str) -> dict[str, Any]:
    return {"S3Uri": f"s3://training/{folder}"}


def test_checkpoints_reach_s3_while_the_job_runs_and_at_its_end(trainer: Trainer) -> None:
    name = trainer.start(
        COUNTING,
        Environment={"STEPS": "40"},
        CheckpointConfig=checkpoints("ck1"),
        Tags=[{"Key": "k", "Value": "v"}],
    )
    deadline = time.monotonic() + 10
    while "ck1/step" not in trainer.keys("ck1/"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert trainer.describe(name)["TrainingJobStatus"] == "InProgress"
    assert trainer.over(name)["CheckpointConfig"]["LocalPath"] == "/opt/ml/checkpoints"
    assert trainer.s3.get_object(Bucket="training", Key="ck1/step")["Body"].read() == b"40\n"


def test_a_job_starts_from_the_checkpoints_in_s3(trainer: Trainer) -> None:
    trainer.put(ck2__step="7\n", ck2__deep__er="x", ck22__step="9\n")
    config = {"S3Uri": "s3://training/ck2", "LocalPath": "/opt/ml/saved"}
    job = trainer.run(
        "cat /opt/ml/saved/step; cd /opt/ml/saved; find . -type f | sort", CheckpointConfig=config
    )
    assert trainer.log(job["TrainingJobName"]) == ["7", "./deep/er", "./step"]


def test_a_missing_checkpoint_bucket_fails_the_job(trainer: Trainer) -> None:
    job = trainer.run("true", CheckpointConfig={"S3Uri": "s3://no-such-bucket/ck"})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:NoSuchBucket (404)")


def test_a_file_that_is_being_written_waits_for_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = Location(ACCOUNT, "half", "ck")
    s3_backends[ACCOUNT]["aws"].create_bucket("half", "us-east-1")
    (tmp_path / "ck").mkdir()
    file = tmp_path / "ck" / "state"
    file.write_text("begun")
    copy = shutil.copyfile

    def written_meanwhile(source: Path, target: Path) -> None:
        copy(source, target)
        file.write_text("begun and done")

    checkpoints = Checkpoints(tmp_path / "ck", location, tmp_path)
    monkeypatch.setattr(shutil, "copyfile", written_meanwhile)
    checkpoints.stop(last_round=True)
    assert location.objects() == []
    monkeypatch.setattr(shutil, "copyfile", copy)
    checkpoints.stop(last_round=True)
    assert [(key.name, key.value) for key in location.objects()] == [("ck/state", b"begun and done")]
    seen = location.objects()
    checkpoints.stop(last_round=True)
    assert location.objects() == seen  # what has not changed is not uploaded again


def interrupt(cloud: CloudInfo, name: str, wait: float = 0.0) -> None:
    command = [sys.executable, "-m", "localcloud", "interrupt", name, "--wait", str(wait)]
    command += ["--state-dir", str(cloud.log_file.parent)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def test_an_interrupted_spot_job_goes_on_from_its_checkpoint(trainer: Trainer, cloud: CloudInfo) -> None:
    name = trainer.start(
        COUNTING, count=2, Environment={"STEPS": "50"}, CheckpointConfig=checkpoints("ck3"), **SPOT
    )
    trainer.in_training(name, line="from 0")
    time.sleep(1.3)
    interrupt(cloud, name, wait=0.5)
    trainer.until(name, lambda job: job["SecondaryStatus"] == "Interrupted")
    reached = int(trainer.s3.get_object(Bucket="training", Key="ck3/step")["Body"].read())
    job = trainer.over(name)
    assert job["TrainingJobStatus"] == "Completed"
    first = ["Starting", "Downloading", "Training"]
    assert states(job) == [*first, "Interrupted", *first, "Uploading", "Completed"]
    assert 0 < reached < 50
    assert f"from {reached}" in trainer.log(name)
    assert trainer.archive(name) == {"step": "50\n"}
    assert job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]
    span = (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds()
    assert job["TrainingTimeInSeconds"] <= span + 1 - 0.4  # the wait for new instances is no training


def test_an_interruption_right_after_the_start_is_survived(trainer: Trainer, cloud: CloudInfo) -> None:
    script = "cd /opt/ml/checkpoints; echo up; test -e begun && exit 0; touch begun; "
    name = trainer.start(script + FOREVER, CheckpointConfig=checkpoints("ck4"), **SPOT)
    trainer.in_training(name, line="up")
    control.interrupt(cloud.log_file.parent, name)
    assert trainer.over(name)["TrainingJobStatus"] == "Completed"
    assert trainer.log(name).count("up") == 3  # the first attempt says it twice


def test_a_spot_job_that_waits_too_long_is_stopped(trainer: Trainer, cloud: CloudInfo) -> None:
    condition = {"MaxRuntimeInSeconds": 2, "MaxWaitTimeInSeconds": 2}
    name = trainer.start(FOREVER, EnableManagedSpotTraining=True, StoppingCondition=condition)
    trainer.in_training(name, line="up")
    interrupt(cloud, name, wait=60)
    job = trainer.over(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


def test_only_running_spot_jobs_can_be_interrupted(trainer: Trainer, cloud: CloudInfo) -> None:
    name = trainer.start(FOREVER)
    with pytest.raises(CloudError, match="does not use managed spot training"):
        control.interrupt(cloud.log_file.parent, name)
    trainer.sagemaker.stop_training_job(TrainingJobName=name)
    with pytest.raises(CloudError, match="There is no training job absent"):
        control.interrupt(cloud.log_file.parent, "absent")
    over = trainer.run("true", **SPOT)["TrainingJobName"]
    with pytest.raises(CloudError, match="has no spot instances while it is Completed"):
        control.interrupt(cloud.log_file.parent, over)
    trainer.over(name)


# Logs and metrics


def test_both_outputs_of_every_instance_are_logged(trainer: Trainer) -> None:
    job = trainer.run("echo out; echo err >&2", count=2)
    name = job["TrainingJobName"]
    for host in ("algo-1", "algo-2"):
        assert sorted(trainer.log(name, host)) == ["err", "out"]
    group = "/aws/sagemaker/TrainingJobs"
    streams = trainer.client("logs").describe_log_streams(
        logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-"
    )
    epoch = int(streams["logStreams"][0]["logStreamName"].rpartition("-")[2])
    assert abs(epoch - time.time()) < 60


def test_metrics_are_read_from_the_log(trainer: Trainer) -> None:
    definitions = [
        {"Name": "valid:loss", "Regex": r"valid_loss=([0-9.e+-]+)"},
        {"Name": "epoch", "Regex": r"^epoch (\d+)"},
        {"Name": "never", "Regex": r"nowhere=(\d+)"},
        {"Name": "words", "Regex": r"valid_(\w+)="},
    ]
    job = trainer.run(
        "echo 'epoch 1 valid_loss=0.5 valid_loss=0.4'; echo 'epoch 2 valid_loss=2.5e-1'; echo valid_loss=nan",
        algorithm={"MetricDefinitions": definitions},
    )
    final = {entry["MetricName"]: entry["Value"] for entry in job["FinalMetricDataList"]}
    assert final == {"valid:loss": 0.25, "epoch": 2.0}
    now = datetime.now(UTC)
    found = trainer.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="valid:loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=600,
        Statistics=["Minimum", "Maximum", "SampleCount"],
    )["Datapoints"]
    assert sum(point["SampleCount"] for point in found) == 3
    assert min(point["Minimum"] for point in found) == 0.25


# Requests


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"TrainingJobName": "a_b"}, "Value 'a_b' at 'trainingJobName' failed to satisfy constraint"),
        ({"TrainingJobName": "a" * 64}, "Member must have length less than or equal to 63"),
        ({"RoleArn": f"{ROLE}-absent"}, f"Could not assume role {ROLE}-absent. Please ensure"),
        ({"runtime": 28 * 86_400 + 1}, "Member must have value less than or equal to 2419200"),
        ({"count": 0}, "at 'resourceConfig.instanceCount' failed to satisfy constraint"),
        ({"algorithm": {"TrainingInputMode": "Tape"}}, "enum value set: [Pipe, File, FastFile]"),
        (
            {"algorithm": {"MetricDefinitions": [{"Name": "m", "Regex": "("}]}},
            "Invalid regular expression '(' for metric 'm'",
        ),
        (
            {"algorithm": {"MetricDefinitions": [{"Name": f"m{n}", "Regex": "x"} for n in range(41)]}},
            "at 'algorithmSpecification.metricDefinitions' failed to satisfy constraint",
        ),
        ({"HyperParameters": {"k": "v" * 2501}}, "Member must have length less than or equal to 2500"),
        ({"OutputDataConfig": {"S3OutputPath": "training/out"}}, "at 'outputDataConfig.s3OutputPath'"),
        (
            {"InputDataConfig": [channel("x", "nothing/here")]},
            'No S3 objects found under S3 URL "s3://training/',
        ),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds. It must be present"),
        (
            SPOT | {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8}},
            "be greater than or equal to MaxRuntimeInSeconds",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 10}},
            "It must be set only for managed spot training",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:40],
)
def test_what_aws_refuses_is_refused(trainer: Trainer, change: dict[str, Any], message: str) -> None:
    code, said = refused(trainer, **change)
    assert code == "ValidationException"
    assert message in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"algorithm": {"TrainingInputMode": "Pipe"}}, "TrainingInputMode Pipe"),
        ({"ExperimentConfig": {"ExperimentName": "e"}}, "ExperimentConfig"),
        ({"InputDataConfig": [channel("x", "m", S3DataType="ManifestFile")]}, "S3DataType ManifestFile"),
        ({"InputDataConfig": [channel("x", "m") | {"CompressionType": "Gzip"}]}, "CompressionType Gzip"),
        (
            {"CheckpointConfig": {"S3Uri": "s3://training/c", "LocalPath": "/opt/c"}},
            "CheckpointConfig.LocalPath",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_what_is_not_implemented_is_named(trainer: Trainer, change: dict[str, Any], named: str) -> None:
    code, said = refused(trainer, **change)
    assert code == "NotImplemented"
    assert named in said


def test_a_change_of_a_running_job_is_not_implemented(trainer: Trainer) -> None:
    with pytest.raises(ClientError, match="does not implement sagemaker: UpdateTrainingJob"):
        trainer.sagemaker.update_training_job(TrainingJobName="any")


def test_a_role_that_does_not_trust_sagemaker_is_refused(trainer: Trainer) -> None:
    trust = {
        "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:*"}
    }
    trainer.client("iam").create_role(RoleName="others", AssumeRolePolicyDocument=json.dumps(trust))
    code, said = refused(trainer, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/others")
    assert code == "ValidationException"
    assert said.endswith("allows principal 'sagemaker.amazonaws.com' to assume the role.")


def test_a_name_is_taken_once(trainer: Trainer) -> None:
    name = trainer.run("true")["TrainingJobName"]
    code, said = refused(trainer, TrainingJobName=name)
    assert code == "ResourceInUse"
    assert said == (
        "Training job names must be unique within an AWS account and region, and a training job with this name "
        f"already exists ({ARN}/{name})"
    )


def test_of_two_requests_at_a_time_for_one_name_one_is_taken(trainer: Trainer) -> None:
    request = trainer.request("true")
    codes: list[str] = []

    def create() -> None:
        try:
            trainer.sagemaker.create_training_job(**request)
            codes.append("taken")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["ResourceInUse"] * 3 + ["taken"]


def test_the_account_has_so_many_instances_of_a_type(trainer: Trainer) -> None:
    kind = {"InstanceType": "ml.c5.xlarge", "VolumeSizeInGB": 1}
    name = trainer.start(FOREVER, ResourceConfig={**kind, "InstanceCount": 3})
    code, said = refused(trainer, ResourceConfig={**kind, "InstanceCount": 2})
    assert code == "ResourceLimitExceeded"
    assert said.startswith(
        "The account-level service limit 'ml.c5.xlarge for training job usage' is 4 Instances, with current "
        "utilization of 3 Instances and a request delta of 2 Instances."
    )
    trainer.sagemaker.stop_training_job(TrainingJobName=name)
    trainer.over(name)
    trainer.run("true", ResourceConfig={**kind, "InstanceCount": 2})


def test_jobs_are_listed_filtered_sorted_and_by_pages(trainer: Trainer) -> None:
    names = [f"listed-{number}" for number in (2, 1, 3)]
    for name in names:
        trainer.run("exit 1" if name.endswith("1") else "true", TrainingJobName=name)

    def listed(**request: Any) -> list[str]:
        answer = trainer.sagemaker.list_training_jobs(NameContains="listed-", **request)
        check_answer("ListTrainingJobs", answer)
        return [entry["TrainingJobName"] for entry in answer["TrainingJobSummaries"]]

    assert listed() == names
    assert listed(SortBy="Name") == sorted(names)
    assert listed(SortOrder="Descending") == names[::-1]
    assert listed(StatusEquals="Failed") == ["listed-1"]
    now = datetime.now(UTC)
    assert listed(CreationTimeAfter=now - timedelta(hours=1)) == names
    assert listed(CreationTimeBefore=now - timedelta(hours=1)) == []
    assert listed(LastModifiedTimeAfter=now + timedelta(hours=1)) == []
    pages = trainer.sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains="listed-", PaginationConfig={"PageSize": 2}
    )
    assert [len(page["TrainingJobSummaries"]) for page in pages] == [2, 1]
    with pytest.raises(ClientError, match="Invalid pagination token"):
        listed(NextToken="nonsense")


def test_tags_can_be_read_and_added(trainer: Trainer) -> None:
    arn = trainer.run("true", Tags=[{"Key": "a", "Value": "1"}])["TrainingJobArn"]
    trainer.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    assert trainer.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "2"},
    ]


def test_a_job_that_is_over_can_be_deleted(trainer: Trainer) -> None:
    name = trainer.start(FOREVER)
    with pytest.raises(ClientError, match="ResourceInUse"):
        trainer.sagemaker.delete_training_job(TrainingJobName=name)
    trainer.sagemaker.stop_training_job(TrainingJobName=name)
    trainer.over(name)
    trainer.sagemaker.delete_training_job(TrainingJobName=name)
    with pytest.raises(ClientError, match="Requested resource not found"):
        trainer.describe(name)


def test_jobs_run_at_the_same_time(trainer: Trainer) -> None:
    names = [trainer.start(FOREVER) for _ in range(3)]
    for name in names:
        trainer.in_training(name, line="up")
    assert {trainer.describe(name)["SecondaryStatus"] for name in names} == {"Training"}
    for name in names:
        trainer.sagemaker.stop_training_job(TrainingJobName=name)
    assert {trainer.over(name)["TrainingJobStatus"] for name in names} == {"Stopped"}


# Settings


def test_the_environment_sets_quota_and_grace() -> None:
    told = {"LOCALCLOUD_TRAINING_INSTANCES": "3", "LOCALCLOUD_TRAINING_GRACE": "0.5", "LOCALCLOUD_OTHER": "x"}
    assert from_environment(told) == Settings(instances=3, grace=0.5)
    assert from_environment({}) == Settings(instances=20, grace=30)


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("INSTANCES", "many", "LOCALCLOUD_TRAINING_INSTANCES must be a number"),
        ("INSTANCES", "1.5", "LOCALCLOUD_TRAINING_INSTANCES must be a number"),
        ("GRACE", "-1", "LOCALCLOUD_TRAINING_GRACE must not be negative"),
        ("PATIENCE", "1", "must be one of LOCALCLOUD_TRAINING_GRACE, LOCALCLOUD_TRAINING_INSTANCES"),
    ],
)
def test_a_setting_that_is_none_is_refused(variable: str, value: str, rule: str) -> None:
    with pytest.raises(CloudError, match=rule):
        from_environment({f"LOCALCLOUD_TRAINING_{variable}": value})


# The cloud's end


@pytest.mark.parametrize("end", ["stop", "kill -9"])
def test_no_process_of_a_job_outlives_the_cloud(
    end: str, tmp_path: Path, connect: Callable[[CloudInfo], Callable[[str], Any]]
) -> None:
    info = start_cloud(tmp_path)
    trainer = Trainer(connect(info))
    name = trainer.start("sleep 100 & echo $! $$; wait")
    trainer.until(name, lambda _: bool(trainer.log(name)))
    pids = [int(word) for word in trainer.log(name)[0].split()]
    assert all(start_mark(pid) for pid in pids)
    if end == "stop":
        control.stop(tmp_path)
    else:
        os.kill(info.pid, signal.SIGKILL)
        os.waitpid(info.pid, 0)
    deadline = time.monotonic() + 10
    while any(start_mark(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)
