"""Run Command on instances that run commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import control
from localcloud.control import CloudInfo

Client = Callable[[str], Any]
OVER = ("Success", "Failed", "Cancelled", "TimedOut")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
REGISTER = {"Effect": "Allow", "Action": "ssm:UpdateInstanceInformation", "Resource": "*"}
CONTROL = {"Effect": "Allow", "Action": "ssmmessages:*", "Resource": "*"}
LOG = {
    "Effect": "Allow",
    "Action": ["logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:CreateLogGroup", "logs:CreateLogStream",
               "logs:PutLogEvents"],
    "Resource": "arn:aws:logs:*:*:log-group:*",
}  # fmt: skip
STORE = {
    "Effect": "Allow",
    "Action": "s3:PutObject",
    "Resource": ["arn:aws:s3:::outputs/*", "arn:aws:s3:::reached/*"],
}


def poll(ask: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"last seen: {answer!r}"
        time.sleep(0.05)
    return answer


def launch(client: Client, name: str, *statements: dict[str, Any]) -> str:
    """An instance whose role may do this much."""
    iam = client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    if statements:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    image = client("ec2").describe_images()["Images"][0]["ImageId"]
    made = client("ec2").run_instances(
        ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": name}
    )
    instance: str = made["Instances"][0]["InstanceId"]
    return instance


def state(client: Client, instance: str) -> str:
    found = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    name: str = found["State"]["Name"]
    return name


def ping(client: Client, instance: str) -> str | None:
    asked = client("ssm").describe_instance_information(
        Filters=[{"Key": "InstanceIds", "Values": [instance]}]
    )
    return next((entry["PingStatus"] for entry in asked["InstanceInformationList"]), None)


def await_online(client: Client, instance: str) -> None:
    poll(lambda: ping(client, instance) == "Online")


def send(client: Client, instance: str, *lines: str, **more: Any) -> str:
    parameters = {"commands": list(lines), **more.pop("Parameters", {})}
    sent = client("ssm").send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[instance], Parameters=parameters, **more
    )["Command"]
    assert sent["Status"] in ("Pending", "InProgress", "Success")
    command: str = sent["CommandId"]
    return command


def look(client: Client, command: str, instance: str) -> dict[str, Any]:
    answer: dict[str, Any] = client("ssm").get_command_invocation(CommandId=command, InstanceId=instance)
    return answer


def result(client: Client, command: str, instance: str) -> dict[str, Any]:
    poll(lambda: look(client, command, instance)["Status"] in OVER)
    return look(client, command, instance)


def await_file(path: Path) -> str:
    poll(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text().strip()


def alive(pid: int) -> bool:
    listing = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(listing.stdout.strip()) and not listing.stdout.startswith("Z")


@pytest.fixture(scope="module")
def machine(client: Client) -> Iterator[str]:
    """An instance that is online."""
    instance = launch(client, "managed", REGISTER, CONTROL, LOG, STORE)
    await_online(client, instance)
    yield instance
    client("ec2").terminate_instances(InstanceIds=[instance])


@pytest.fixture
def another(client: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    """One that the test may stop."""
    instance = launch(client, request.node.name[:60], REGISTER, CONTROL, LOG)
    await_online(client, instance)
    yield instance
    client("ec2").terminate_instances(InstanceIds=[instance])


@pytest.fixture(scope="module")
def disk(cloud: CloudInfo, machine: str) -> Path:
    return cloud.log_file.parent / "machines" / machine


# -- how a command goes


def test_a_command_runs_and_says_what_it_said(client: Client, machine: str, disk: Path) -> None:
    command = send(
        client, machine, "pwd", "echo $HOME $AWS_SSM_INSTANCE_ID", "echo oh >&2",
        Parameters={"workingDirectory": ["/opt/kennel"]},
    )  # fmt: skip
    answer = result(client, command, machine)
    assert (answer["Status"], answer["StatusDetails"], answer["ResponseCode"]) == ("Success", "Success", 0)
    assert answer["StandardOutputContent"] == f"{disk}/opt/kennel\n{disk}/root {machine}\n"
    assert answer["StandardErrorContent"] == "oh\n"
    assert answer["ExecutionElapsedTime"].startswith("PT")


def test_the_shebang_chooses_the_shell(client: Client, machine: str) -> None:
    script = "#!/usr/bin/env python3\nimport sys\nprint(sys.version_info[0])"
    assert result(client, send(client, machine, script), machine)["StandardOutputContent"] == "3\n"


def test_a_command_reaches_this_cloud_with_boto3(client: Client, machine: str) -> None:
    client("s3").create_bucket(Bucket="reached")
    code = "import boto3; boto3.client('s3').put_object(Bucket='reached', Key='k', Body=b'from the machine')"
    answer = result(client, send(client, machine, f'/opt/kennel/venv/bin/python -c "{code}"'), machine)
    assert answer["Status"] == "Success", answer["StandardErrorContent"]
    assert client("s3").get_object(Bucket="reached", Key="k")["Body"].read() == b"from the machine"


def test_a_command_that_fails_tells_its_exit_status(client: Client, machine: str) -> None:
    answer = result(client, send(client, machine, "echo before", "exit 7", "echo never"), machine)
    assert (answer["Status"], answer["ResponseCode"]) == ("Failed", 7)
    assert answer["StandardOutputContent"] == "before\n"
    assert answer["StandardErrorContent"] == "failed to run commands: exit status 7"


def test_long_output_is_cut_where_aws_cuts_it_and_whole_in_s3(client: Client, machine: str) -> None:
    client("s3").create_bucket(Bucket="outputs")
    command = send(
        client, machine, "i=0; while [ $i -lt 3000 ]; do echo line-$i-xxxx; i=$((i+1)); done",
        OutputS3BucketName="outputs", OutputS3KeyPrefix="runs",
    )  # fmt: skip
    answer = result(client, command, machine)
    assert len(answer["StandardOutputContent"]) == 24_000
    assert answer["StandardOutputContent"].endswith("\n---Output truncated---")
    key = f"runs/{command}/{machine}/awsrunShellScript/0.awsrunShellScript/stdout"
    assert answer["StandardOutputUrl"] == f"https://s3.us-east-1.amazonaws.com/outputs/{key}"
    whole = client("s3").get_object(Bucket="outputs", Key=key)["Body"].read().decode()
    assert whole.splitlines()[-1] == "line-2999-xxxx"


@pytest.mark.parametrize("group", [None, "/kennel/own"])
def test_output_goes_to_cloudwatch_logs_while_the_command_runs(
    client: Client, machine: str, disk: Path, group: str | None
) -> None:
    config = {"CloudWatchOutputEnabled": True, **({"CloudWatchLogGroupName": group} if group else {})}
    go = disk / "root" / f"go{group is None}"
    command = send(
        client, machine,
        "echo first", "echo second >&2", f"while [ ! -e ~/{go.name} ]; do sleep 0.05; done", "echo last",
        CloudWatchOutputConfig=config,
    )  # fmt: skip
    where = {"logGroupName": group or "/aws/ssm/AWS-RunShellScript"}
    prefix = f"{command}/{machine}/aws-runShellScript"

    def messages(stream: str) -> list[str]:
        try:
            found = client("logs").get_log_events(**where, logStreamName=f"{prefix}/{stream}")
        except client("logs").exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found["events"]]

    poll(lambda: messages("stdout") == ["first"] and messages("stderr") == ["second"])
    during = look(client, command, machine)
    assert (during["Status"], during["ResponseCode"], during["StandardOutputContent"]) == (
        "InProgress",
        -1,
        "",
    )
    go.touch()
    assert result(client, command, machine)["StandardOutputContent"] == "first\nlast\n"
    assert messages("stdout") == ["first", "last"]


def test_a_command_is_ended_with_its_children_when_its_time_is_over(
    client: Client, machine: str, disk: Path
) -> None:
    command = send(
        client, machine, "sleep 300 & echo $! > ~/overdue", "wait", Parameters={"executionTimeout": ["1"]}
    )
    pid = int(await_file(disk / "root" / "overdue"))
    answer = result(client, command, machine)
    assert (answer["Status"], answer["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert answer["ResponseCode"] == 137
    assert not alive(pid)


def test_a_command_can_be_cancelled(client: Client, machine: str, disk: Path) -> None:
    command = send(client, machine, "sleep 300 & echo $! > ~/cancelled", "wait")
    pid = int(await_file(disk / "root" / "cancelled"))
    client("ssm").cancel_command(CommandId=command)
    answer = result(client, command, machine)
    assert (answer["Status"], answer["ResponseCode"]) == ("Cancelled", 137)
    assert not alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="finds them by /proc")
def test_processes_that_left_the_commands_group_end_with_it(client: Client, machine: str, disk: Path) -> None:
    command = send(client, machine, "setsid sh -c 'echo $$ > ~/escaped; exec sleep 300' &", "sleep 300")
    pid = int(await_file(disk / "root" / "escaped"))
    client("ssm").cancel_command(CommandId=command)
    result(client, command, machine)
    poll(lambda: not alive(pid))


def test_more_commands_than_the_agent_has_workers_wait(client: Client, machine: str, disk: Path) -> None:
    block = [send(client, machine, "while [ ! -e ~/all ]; do sleep 0.05; done") for _ in range(5)]
    poll(lambda: all(look(client, one, machine)["Status"] == "InProgress" for one in block))
    sixth = send(client, machine, "true")
    seventh = send(client, machine, "true")
    assert [look(client, one, machine)["Status"] for one in (sixth, seventh)] == ["Pending", "Pending"]
    client("ssm").cancel_command(CommandId=seventh, InstanceIds=[machine])
    assert result(client, seventh, machine)["Status"] == "Cancelled"
    (disk / "root" / "all").touch()
    assert {result(client, one, machine)["Status"] for one in [*block, sixth]} == {"Success"}


def test_commands_and_invocations_are_listed(client: Client, machine: str) -> None:
    command = send(client, machine, "echo hello", Comment="greeting")
    result(client, command, machine)
    listed = client("ssm").list_commands(InstanceId=machine, Filters=[{"key": "Status", "value": "Success"}])
    first = listed["Commands"][0]
    assert (first["CommandId"], first["Comment"], first["CompletedCount"]) == (command, "greeting", 1)
    entry = client("ssm").list_command_invocations(CommandId=command, Details=True)["CommandInvocations"][0]
    plugin = entry["CommandPlugins"][0]
    assert (entry["InstanceId"], plugin["Output"], plugin["ResponseCode"]) == (machine, "hello\n", 0)


# -- machines that go down, and those that never come up


def test_a_command_goes_down_with_its_machine_and_is_told_of_once_it_is_back(
    client: Client, cloud: CloudInfo, another: str
) -> None:
    home = cloud.log_file.parent / "machines" / another / "root"
    # Bash runs a trap between two commands: there has to be one after the wait.
    lines = ("#!/bin/bash\ntrap 'echo told > ~/last' TERM", "sleep 300 & echo $! > ~/pid", "wait", "true")
    command = send(client, another, *lines)
    pid = int(await_file(home / "pid"))
    client("ec2").stop_instances(InstanceIds=[another])
    poll(lambda: state(client, another) == "stopped")
    assert not alive(pid)
    assert (home / "last").read_text() == "told\n"  # its last words
    assert ping(client, another) == "ConnectionLost"
    assert look(client, command, another)["Status"] == "InProgress"  # nobody is there to tell
    client("ec2").start_instances(InstanceIds=[another])
    answer = result(client, command, another)
    assert answer["Status"] == "Failed"
    assert answer["StandardErrorContent"].startswith("document process failed unexpectedly")


def test_what_nobody_comes_back_to_tell_of_times_out(client: Client, another: str) -> None:
    command = send(client, another, "sleep 300", Parameters={"executionTimeout": ["2"]})
    poll(lambda: look(client, command, another)["Status"] == "InProgress")
    client("ec2").stop_instances(InstanceIds=[another])
    answer = result(client, command, another)
    assert (answer["StatusDetails"], answer["ResponseCode"]) == ("ExecutionTimedOut", -1)


def test_a_script_can_switch_its_machine_off(client: Client, another: str) -> None:
    command = send(client, another, "shutdown -h now", "echo sent")
    assert result(client, command, another)["Status"] in ("Success", "TimedOut", "Failed")
    poll(lambda: state(client, another) == "stopped")


def test_a_reboot_keeps_the_disk_and_ends_commands(client: Client, cloud: CloudInfo, another: str) -> None:
    home = cloud.log_file.parent / "machines" / another / "root"
    command = send(client, another, "echo $$ > ~/pid", "exec sleep 300")
    pid = int(await_file(home / "pid"))
    client("ec2").reboot_instances(InstanceIds=[another])
    assert result(client, command, another)["Status"] == "Failed"
    assert not alive(pid)
    assert (home / "pid").exists()


def test_a_command_for_a_machine_that_is_terminated_first_is_undeliverable(
    client: Client, another: str
) -> None:
    for _ in range(5):
        send(client, another, "sleep 300")
    command = send(client, another, "true")
    client("ec2").terminate_instances(InstanceIds=[another])
    answer = result(client, command, another)
    assert (answer["Status"], answer["StatusDetails"]) == ("Failed", "Undeliverable")


@pytest.mark.parametrize("statements", [(), (CONTROL, LOG)], ids=["no rights", "no right to register"])
def test_a_machine_that_may_not_register_is_never_online(
    client: Client, statements: tuple[dict[str, Any], ...], request: pytest.FixtureRequest
) -> None:
    instance = launch(client, f"unmanaged{len(statements)}", *statements)
    poll(lambda: state(client, instance) == "running")
    time.sleep(1)  # twice as long as the agent takes
    assert ping(client, instance) is None
    with pytest.raises(ClientError) as refused:
        send(client, instance, "true")
    assert refused.value.response["Error"] == {
        "Code": "InvalidInstanceId",
        "Message": f"Instances [[{instance}]] not in a valid state for account 123456789012",
    }
    client("ec2").terminate_instances(InstanceIds=[instance])


@pytest.mark.parametrize(("boundary", "online"), [("PowerUserAccess", True), ("AmazonS3FullAccess", False)])
def test_a_boundary_of_awss_own_bounds_the_machines_role(client: Client, boundary: str, online: bool) -> None:
    instance = launch(client, f"bounded-{online}", REGISTER, CONTROL)
    client("iam").put_role_permissions_boundary(
        RoleName=f"bounded-{online}", PermissionsBoundary=f"arn:aws:iam::aws:policy/{boundary}"
    )
    poll(lambda: state(client, instance) == "running")
    time.sleep(1)
    assert (ping(client, instance) == "Online") == online
    client("ec2").terminate_instances(InstanceIds=[instance])


def test_a_machine_without_a_control_channel_never_gets_its_command(client: Client) -> None:
    instance = launch(client, "deaf", REGISTER)
    await_online(client, instance)
    command = send(client, instance, "true")
    time.sleep(0.5)
    assert look(client, command, instance)["Status"] == "Pending"
    client("ec2").terminate_instances(InstanceIds=[instance])


def test_a_machine_that_may_not_log_logs_nothing_and_runs_its_command(client: Client) -> None:
    instance = launch(client, "quiet", REGISTER, CONTROL)
    await_online(client, instance)
    command = send(
        client, instance, "echo unheard",
        CloudWatchOutputConfig={"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/quiet"},
    )  # fmt: skip
    assert result(client, command, instance)["StandardOutputContent"] == "unheard\n"
    assert client("logs").describe_log_groups(logGroupNamePrefix="/quiet")["logGroups"] == []
    client("ec2").terminate_instances(InstanceIds=[instance])


# -- what is refused


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"DocumentName": "AWS-RunPowerShellScript"}, "NotImplemented"),
        ({"DocumentName": "none-such"}, "InvalidDocument"),
        ({"InstanceIds": ["i-00000000000000000"]}, "InvalidInstanceId"),
        ({"Parameters": {"commands": ["true"], "shell": ["zsh"]}}, "InvalidParameters"),
        ({"Parameters": {}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["true"], "executionTimeout": ["172801"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["true"], "executionTimeout": ["soon"]}}, "InvalidParameters"),
        ({"Targets": [{"Key": "tag:a", "Values": ["b"]}]}, "NotImplemented"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(
    client: Client, machine: str, request_: dict[str, Any], code: str
) -> None:
    asked = {
        "DocumentName": "AWS-RunShellScript", "InstanceIds": [machine], "Parameters": {"commands": ["true"]},
    } | request_  # fmt: skip
    with pytest.raises(ClientError) as refused:
        client("ssm").send_command(**asked)
    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("call", "asked", "code"),
    [
        ("cancel_command", {"CommandId": "0" * 36}, "InvalidCommandId"),
        ("list_commands", {"CommandId": "0" * 36}, "InvalidCommandId"),
        ("get_command_invocation", {"CommandId": "0" * 36, "InstanceId": "i-0000000000"}, "InvocationDoesNotExist"),
    ],
)  # fmt: skip
def test_a_command_that_there_is_not_is_not_found(
    client: Client, call: str, asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client("ssm"), call)(**asked)
    assert refused.value.response["Error"]["Code"] == code


# -- the cloud's end


@pytest.mark.parametrize("killed", [False, True])
def test_commands_end_with_the_cloud(
    tmp_path: Path, connect: Callable[[CloudInfo], Client], killed: bool
) -> None:
    cloud = control.start(tmp_path, lifetime=120)
    try:
        client = connect(cloud)
        instance = launch(client, "short-lived", REGISTER, CONTROL)
        await_online(client, instance)
        send(client, instance, "sleep 300 & echo $! > ~/pid", "wait")
        pid = int(await_file(tmp_path / "machines" / instance / "root" / "pid"))
        if killed:
            os.kill(cloud.pid, signal.SIGKILL)
    finally:
        control.stop(tmp_path)
    poll(lambda: not alive(pid))
