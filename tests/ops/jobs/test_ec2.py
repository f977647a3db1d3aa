"""Training on the stage's instance: the commands, the instance and the training are real, on an embedded cloud."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud import control
from ml.config import TrainConfig
from ml.errors import KennelError
from ml.train import code_state, train
from ops.jobs import ec2, request
from ops.jobs.follow import Detached, JobError
from ops.jobs.machine import Machine, MachineError
from ops.jobs.options import JobOptions, OptionError
from ops.jobs.rights import RightsError
from ops.paths import ROOT

pytestmark = [pytest.mark.cloud, pytest.mark.long]

BUCKET = "kennel-dev-artifacts"
GROUP = "/aws/ssm/kennel-dev-training"
ROLE = "kennel-dev-training-instance"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def statement(actions: list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


RIGHTS = [  # as terraform/modules/iam gives them
    statement(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/training/*"),
    statement(["s3:ListBucket"], f"arn:aws:s3:::{BUCKET}"),
    statement(["ssm:UpdateInstanceInformation"], "arn:aws:ec2:us-east-1:123456789012:instance/*"),
    statement(
        [f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")],
        "*",
    ),
    statement(
        ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*",
    ),
    statement(["logs:DescribeLogGroups"], "arn:aws:logs:us-east-1:123456789012:log-group:*"),
]


@dataclass
class Stage:
    """A stage whose cloud is an embedded one."""

    cloud: control.CloudInfo
    name: str = "dev"
    region: str = "us-east-1"
    said: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.cloud.endpoint_url, region_name=self.region,
            aws_access_key_id="local", aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def machines(self) -> Path:
        return self.cloud.log_file.parent / "machines"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.CloudInfo]:
    folder = tmp_path_factory.mktemp("cloud")
    yield control.start(folder, lifetime=1200)
    control.stop(folder)


@pytest.fixture
def stage(cloud: control.CloudInfo) -> Stage:
    return Stage(cloud)


@pytest.fixture
def outputs(stage: Stage) -> Iterator[dict[str, Any]]:
    """What an apply with a training instance leaves."""
    iam, made = stage.client("iam"), stage.client("ec2")
    if ROLE not in [role["RoleName"] for role in iam.list_roles()["Roles"]]:
        stage.client("s3").create_bucket(Bucket=BUCKET)
        stage.client("logs").create_log_group(logGroupName=GROUP)
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.create_instance_profile(InstanceProfileName=ROLE)
        iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
    grant(stage, RIGHTS)
    image = made.describe_images()["Images"][0]["ImageId"]
    instance = made.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t2.xlarge", IamInstanceProfile={"Name": ROLE}
    )["Instances"][0]["InstanceId"]
    outputs = {
        "prefix": "kennel-dev",
        "artifact_locations": {"scratch": f"s3://{BUCKET}/training/"},
        "roles": {"training_instance": {"name": ROLE, "arn": f"arn:aws:iam::123456789012:role/{ROLE}"}},
        "log_groups": {"training_instance": GROUP},
        "training_instance_id": instance,
        "data_bucket_policy": None,
    }
    yield outputs
    made.terminate_instances(InstanceIds=[instance])


def grant(stage: Stage, rights: list[dict[str, Any]]) -> None:
    document = {"Version": "2012-10-17", "Statement": rights}
    stage.client("iam").put_role_policy(
        RoleName=ROLE, PolicyName="training_instance", PolicyDocument=json.dumps(document)
    )


def poll(ask: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"last seen: {answer!r}"
        time.sleep(0.05)
    return answer


def state(stage: Stage, outputs: dict[str, Any]) -> str:
    return Machine(stage, outputs).state  # type: ignore[arg-type]


def stop(stage: Stage, outputs: dict[str, Any]) -> None:
    Machine(stage, outputs).stop()  # type: ignore[arg-type]
    poll(lambda: state(stage, outputs) == "stopped")


def run(stage: Any, outputs: dict[str, Any], config: TrainConfig, **options: Any) -> str:
    name = ec2.start(stage, outputs, config, JobOptions(**options), stage.say)
    ec2.follow(stage, outputs, name, stage.say, progress=False, interval=0.2)
    return name


STAND_IN = """
import json, os, sys, time
from pathlib import Path

base = Path(os.environ["SAGEMAKER_BASE_DIR"])
told = json.loads((base / "input/config/hyperparameters.json").read_text())
photos = [path for path in (base / "input/data/data").rglob("*") if path.is_file()]
kept = base / "checkpoints/training/epoch"
done = int(kept.read_text()) if kept.exists() else 0
for epoch in range(done + 1, int(told["epochs"]) + 1):
    print("epoch", epoch, "with", len(photos), "photos", flush=True)
    kept.write_text(str(epoch))
    while epoch == 2 and (Path.home() / "hold").exists():
        time.sleep(0.05)
if (Path.home() / "fail").exists():
    (base / "output").mkdir()
    (base / "output/failure").write_text("Photos must be of dogs.")
    sys.exit("error: Photos must be of dogs.")
for folder in ("model", "output/data"):
    (base / folder).mkdir(parents=True)
    (base / folder / "file").write_text(folder)
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of training a program that keeps to the container's contract, and waits or fails when it is told to."""

    def upload(stage: Any, outputs: dict[str, Any]) -> str:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for path in sorted((ROOT / "ml").rglob("*.py")):
                content = STAND_IN.encode() if path.name == "container.py" else path.read_bytes()
                member = tarfile.TarInfo(path.relative_to(ROOT).as_posix())
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        stage.client("s3").put_object(
            Bucket=BUCKET, Key="training/source/x/source.tar.gz", Body=packed.getvalue()
        )
        return f"s3://{BUCKET}/training/source/x/"

    monkeypatch.setattr(ec2.source, "upload_source", upload)


def disk(stage: Any, outputs: dict[str, Any]) -> Path:
    return Path(stage.machines, outputs["training_instance_id"])


def hold(stage: Any, outputs: dict[str, Any]) -> Path:
    """The job waits in its second epoch until this file is gone."""
    file = disk(stage, outputs) / "root" / "hold"
    poll(file.parent.is_dir)
    file.touch()
    return file


def logged(stage: Any) -> str:
    """All lines of all jobs."""
    client = stage.client("logs")
    return "\n".join(event["message"] for event in client.filter_log_events(logGroupName=GROUP)["events"])


def follow(stage: Any, outputs: dict[str, Any], name: str) -> dict[str, Any]:
    return ec2.follow(stage, outputs, name, stage.say, progress=False, interval=0.2)


@pytest.fixture
def config(make_photos: Callable[..., Path]) -> TrainConfig:
    return TrainConfig(data=str(make_photos()), epochs=2, batch_size=4)


def test_a_job_makes_the_model_that_training_here_makes(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, weight_decay=1.0, seed=5, serving_precision="f32")
    code = code_state()
    monkeypatch.setattr("ml.train.code_state", lambda *_: code)  # a commit meanwhile would make another model
    name = run(stage, outputs, config)
    collected = ec2.collect(stage, outputs, name, tmp_path / "runs")
    here = train(config, runs_dir=tmp_path / "here", work_dir=tmp_path / "work", progress=False)
    assert here is not None
    assert collected.archive.read_bytes() == here.archive.read_bytes()
    assert (collected.run_dir / "report.html").is_file()
    assert sum("epoch=" in line for line in stage.said) == 2
    job = ec2.list_jobs(stage, outputs)[0]
    assert (job.kind, job.name, job.status) == ("ec2", name, "Completed")
    kept = disk(stage, outputs) / "opt" / "kennel"
    assert list((kept / "jobs").iterdir()) == []  # only what the next job can use is kept
    assert list((kept / "photos" / "objects").iterdir()) != []
    assert list((kept / "work").iterdir()) != []


def test_a_stopped_instance_is_started_for_a_job_and_stopped_after_it(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    poll(lambda: state(stage, outputs) == "running")
    stop(stage, outputs)
    name = run(stage, outputs, config)
    poll(lambda: state(stage, outputs) == "stopped")
    assert stage.said == [
        f"Starting the instance {outputs['training_instance_id']} …",
        f"Started the job {name} on the instance {outputs['training_instance_id']}.",
        "epoch 1 with 16 photos",
        "epoch 2 with 16 photos",
        f"The instance {outputs['training_instance_id']} is being stopped.",
    ]


def test_an_instance_that_ran_before_can_go_on_running(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    poll(lambda: state(stage, outputs) == "running")
    name = ec2.start(stage, outputs, config, JobOptions(), stage.say, keep_running=True)
    follow(stage, outputs, name)
    assert (
        stage.said[-1] == f"The instance {outputs['training_instance_id']} goes on running, as it did before."
    )
    assert state(stage, outputs) == "running"
    assert not (disk(stage, outputs) / "power").exists()  # nothing is scheduled any more


def test_ctrl_c_leaves_the_job_alone_and_attaching_comes_back_to_it(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    held = hold(stage, outputs)
    name = ec2.start(stage, outputs, config, JobOptions(), stage.say)

    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Detached, match=f"jobs --attach {name} --stage dev comes back to it"):
        ec2.follow(stage, outputs, name, interrupt, progress=False)
    assert (ec2.list_jobs(stage, outputs)[0].status, state(stage, outputs)) == ("InProgress", "running")
    held.unlink()
    assert follow(stage, outputs, name)["Status"] == "Completed"
    poll(lambda: state(stage, outputs) == "stopped")


def test_attaching_to_a_job_of_old_leaves_alone_what_the_instance_does_now(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    old = run(stage, outputs, config)
    poll(lambda: state(stage, outputs) == "stopped")
    stage.client("ec2").start_instances(InstanceIds=[outputs["training_instance_id"]])
    poll(lambda: state(stage, outputs) == "running")
    assert follow(stage, outputs, old)["Status"] == "Completed"
    assert state(stage, outputs) == "running"  # somebody started it for something else
    hold(stage, outputs)
    ec2.start(stage, outputs, config, JobOptions(), stage.say)
    assert follow(stage, outputs, old)["Status"] == "Completed"
    assert state(stage, outputs) == "running"  # another job runs


def test_an_instance_that_nobody_watches_switches_itself_off(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    held, power = hold(stage, outputs), disk(stage, outputs) / "power"
    ec2.start(stage, outputs, config, JobOptions(max_runtime=600), stage.say)
    poll(power.exists)
    what, when = power.read_text().split()
    assert what == "off"
    assert 600 < float(when) - time.time() < 5 * 3600  # should the script's end not come
    held.unlink()
    poll(lambda: power.exists() and float(power.read_text().split()[1]) - time.time() <= 60)


def test_a_job_that_fails_says_why_and_its_instance_is_stopped(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    hold(stage, outputs).rename(disk(stage, outputs) / "root" / "fail")
    with pytest.raises(JobError, match="Failed: Photos must be of dogs") as failed:
        run(stage, outputs, config)
    assert "epoch 2 with 16 photos" in str(failed.value)  # the end of its log
    poll(lambda: state(stage, outputs) == "stopped")


def test_an_interrupted_job_goes_on_when_the_same_is_started_again(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    held = hold(stage, outputs)
    name = ec2.start(stage, outputs, config, JobOptions(), stage.say)
    poll(lambda: "epoch 2 with" in logged(stage))
    stop(stage, outputs)
    with pytest.raises(JobError, match="the same settings and photos go on from the last checkpoint"):
        follow(stage, outputs, name)
    held.unlink()
    stage.said.clear()
    run(stage, outputs, config)
    assert [line for line in stage.said if line.startswith("epoch")] == []  # both had been done
    run(stage, outputs, config)  # a job that came to its end leaves nothing to go on from
    assert [line for line in stage.said if line.startswith("epoch")] == [
        "epoch 1 with 16 photos",
        "epoch 2 with 16 photos",
    ]


def test_checkpoints_come_back_from_the_bucket_when_the_disk_is_another(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    held, failing = hold(stage, outputs), disk(stage, outputs) / "root" / "fail"
    failing.touch()
    held.unlink()
    with pytest.raises(JobError, match="Photos must be of dogs"):
        run(stage, outputs, config)
    failing.unlink()
    shutil.rmtree(disk(stage, outputs) / "opt" / "kennel" / "checkpoints")
    run(stage, outputs, config)
    assert "restored the checkpoint epoch" in stage.said


def test_a_job_is_stopped_with_its_instance(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    hold(stage, outputs)
    name = ec2.start(stage, outputs, config, JobOptions(), stage.say)
    poll(lambda: "epoch 2 with" in logged(stage))
    ec2.stop(stage, outputs, name)
    poll(lambda: state(stage, outputs) == "stopped")
    with pytest.raises(JobError, match="Stopped"):
        follow(stage, outputs, name)
    assert ec2.list_jobs(stage, outputs)[0].status == "Stopped"
    ec2.stop(stage, outputs, name)  # which was told before


def test_a_job_whose_instance_was_stopped_is_over_though_run_command_does_not_know(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    hold(stage, outputs)
    name = ec2.start(stage, outputs, config, JobOptions(), stage.say)
    poll(lambda: "epoch 2 with" in logged(stage))
    stop(stage, outputs)
    sent = stage.client("ssm").list_commands(InstanceId=outputs["training_instance_id"])["Commands"][0]
    assert (sent["Comment"], sent["Status"]) == (name, "InProgress")
    assert ec2.list_jobs(stage, outputs)[0].status == "Stopped"
    ec2.stop(stage, outputs, name)  # which was told before


def test_a_job_that_takes_too_long_is_ended_and_says_so(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    hold(stage, outputs)
    options = JobOptions()
    object.__setattr__(options, "max_runtime", 2)  # less than the least that is taken
    name = ec2.start(stage, outputs, config, options, stage.say)
    with pytest.raises(JobError, match="MaxRuntimeExceeded: training took longer than 2 s") as failed:
        follow(stage, outputs, name)
    assert "Give it more time" in str(failed.value.remedy)


# -- told at once


def test_a_name_that_a_job_has_had_is_refused(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    run(stage, outputs, config, name="kennel-dev-mine")
    poll(lambda: state(stage, outputs) == "stopped")
    with pytest.raises(OptionError, match=r"used once[\s\S]*kennel-dev-mine"):
        ec2.start(stage, outputs, config, JobOptions(name="kennel-dev-mine"), stage.say)
    assert state(stage, outputs) == "stopped"


def test_a_second_job_is_refused_while_one_runs(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None
) -> None:
    hold(stage, outputs)
    name = ec2.start(stage, outputs, config, JobOptions(), stage.say)
    with pytest.raises(JobError, match="The instance runs one job at a time") as refused:
        ec2.start(stage, outputs, config, JobOptions(), stage.say)
    assert refused.value.remedy == (
        f"./inv jobs --attach {name} --stage dev follows it, ./inv jobs --stop {name} --stage dev ends it."
    )
    assert state(stage, outputs) == "running"  # the refusal stops nothing


def test_a_stage_without_an_instance_is_told_how_to_get_one(
    stage: Any, outputs: dict[str, Any], config: TrainConfig
) -> None:
    with pytest.raises(MachineError, match="the stage dev has none") as refused:
        ec2.start(stage, outputs | {"training_instance_id": None}, config, JobOptions(), stage.say)
    assert "training_instance = {}" in str(refused.value.remedy)
    assert ec2.list_jobs(stage, outputs | {"training_instance_id": None}) == []


def test_an_instance_that_is_gone_is_told_of(
    stage: Any, outputs: dict[str, Any], config: TrainConfig
) -> None:
    stage.client("ec2").terminate_instances(InstanceIds=[outputs["training_instance_id"]])
    with pytest.raises(MachineError, match=r"shutting-down|terminated") as refused:
        ec2.start(stage, outputs, config, JobOptions(), stage.say)
    assert refused.value.remedy == "./inv apply --stage dev makes a new one."


def refused_before_anything(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, options: JobOptions | None = None
) -> KennelError:
    """The error; the instance has not been started for it, and nothing has been uploaded."""
    poll(lambda: state(stage, outputs) == "running")
    stop(stage, outputs)
    before = stage.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"]
    with pytest.raises(KennelError) as refused:
        ec2.start(stage, outputs, config, options or JobOptions(), stage.say)
    assert state(stage, outputs) == "stopped"
    assert stage.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == before
    return refused.value


def test_a_gpu_is_not_looked_for_in_vain(stage: Any, outputs: dict[str, Any]) -> None:
    error = refused_before_anything(stage, outputs, TrainConfig(device="cuda"))
    assert (type(error), error.rule) == (MachineError, "device=cuda needs an instance with a GPU.")
    assert "t2.xlarge" in str(error.received)


def test_photos_must_be_here_or_in_a_bucket(stage: Any, outputs: dict[str, Any], tmp_path: Path) -> None:
    error = refused_before_anything(stage, outputs, TrainConfig(data=str(tmp_path / "nowhere")))
    assert "nowhere" in str(error)


def test_a_bucket_that_the_instances_role_may_not_write_to_is_told_of(
    stage: Any, outputs: dict[str, Any], config: TrainConfig
) -> None:
    grant(stage, RIGHTS[1:])
    error = refused_before_anything(stage, outputs, config)
    assert (type(error), error.rule) == (RightsError, "The role of the jobs may s3:GetObject.")
    assert ROLE in str(error.received)


def test_a_command_does_not_take_more_than_two_days(
    stage: Any, outputs: dict[str, Any], config: TrainConfig
) -> None:
    error = refused_before_anything(stage, outputs, config, JobOptions(max_runtime=ec2.LONGEST + 1))
    assert (type(error), error.received) == (OptionError, ec2.LONGEST + 1)


def test_an_instance_that_does_not_come_online_is_stopped_again(
    stage: Any, outputs: dict[str, Any], config: TrainConfig, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(stage, [one for one in RIGHTS if "ssm:UpdateInstanceInformation" not in one["Action"]])
    monkeypatch.setattr("ops.jobs.machine._ONLINE_DEADLINE", 2.0)
    with pytest.raises(MachineError, match="is in touch with Systems Manager") as refused:
        ec2.start(stage, outputs, config, JobOptions(), stage.say)
    assert refused.value.received == "not registered"
    poll(lambda: state(stage, outputs) == "stopped")


# -- the script


@pytest.mark.parametrize("keep", [False, True])
def test_the_script_is_sound_shell_and_takes_care_of_its_end_first(
    stage: Any, outputs: dict[str, Any], tmp_path: Path, keep: bool
) -> None:
    text = ec2.script(stage, outputs, "kennel-dev-1", f"s3://{BUCKET}/training/source/x/", 600, keep=keep)
    file = tmp_path / "script.sh"
    file.write_text(text)
    checked = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    commands = [line for line in text.splitlines() if not line.startswith("#")]
    assert commands[1].startswith("shutdown -h +")
    assert commands[2].startswith("trap ")
    assert ("shutdown -h +1" in commands[2]) != keep
    assert "{{" not in text  # which Run Command takes for a parameter
    assert request.output_location(outputs) in text


def test_the_rights_of_these_tests_are_those_that_terraform_gives() -> None:
    policy = (ROOT / "terraform" / "modules" / "iam" / "training.tf").read_text()
    shared = (ROOT / "terraform" / "modules" / "iam" / "shared.tf").read_text()
    for right in RIGHTS:
        assert all(f'"{action}"' in policy + shared for action in right["Action"])


def test_code_that_cannot_be_fetched_is_told_without_a_traceback() -> None:
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1", "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    done = subprocess.run(
        [sys.executable, "-c", ec2._FETCH, "bucket", "key", "file"], env=os.environ | nowhere | keys,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: The code of the job could not be fetched: ")
    assert len(done.stderr.splitlines()) == 1
