"""Trains on the stage's training instance, by Run Command of Systems Manager: no SSH, no open port.

The instance is started where it is stopped, and stopped at the end whatever happens: by the watching client, by the
script's own end, and, where both are gone, by a shutdown that the script schedules before anything else.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ml.config import TrainConfig
from ml.jobs.instance import STATUS, TOLD
from ops.jobs import preflight, request, results, source
from ops.jobs.follow import Detached, JobError, LogView, command, detachable, watch
from ops.jobs.logs import Logs
from ops.jobs.machine import Machine, MachineError
from ops.jobs.options import JobOptions, OptionError
from ops.jobs.sagemaker import Job
from ops.stage import Stage

Say = Callable[[str], None]

DOCUMENT = "AWS-RunShellScript"
LONGEST = 44 * 3600  # seconds of training: a command may take 48 hours, its setting up included
_SETUP = 3 * 3600  # seconds for packages, photos and results
_DELIVERY = 600  # seconds until the instance has taken the command
_INTERVAL = 2.0  # seconds between looks
_ROOT = "/opt/kennel"
_FETCH = """import sys, boto3
try:
    boto3.client("s3").download_file(*sys.argv[1:])
except Exception as error:
    sys.exit(f"error: The code of the job could not be fetched: {error}")"""
_STATUS = {
    "Pending": "InProgress", "InProgress": "InProgress", "Delayed": "InProgress", "Cancelling": "InProgress",
    "Success": "Completed", "Cancelled": "Stopped", "Failed": "Failed", "TimedOut": "Failed",
}  # fmt: skip


def start(
    stage: Stage,
    outputs: Mapping[str, Any],
    config: TrainConfig,
    options: JobOptions,
    say: Say,
    *,
    keep_running: bool = False,
) -> str:
    """Check everything, upload what is missing, start the instance and the job on it; return the job's name.

    Of the options, name, processes and max_runtime count. `keep_running` leaves an instance that runs already as it
    is; one that is started for the job is stopped after it.

    Raises:
        KennelError: something would not work; nothing has been started, or the instance has been stopped again.
    """
    if options.max_runtime > LONGEST:
        raise OptionError(
            f"A job on EC2 takes at most {LONGEST} seconds: Run Command ends after two days.",
            options.max_runtime,
            "Lower max_runtime; the same settings go on from the checkpoints.",
        )
    machine = Machine(stage, outputs)
    machine.describe()
    machine.check_device(config.device)
    _check_idle(stage, outputs, machine)
    job = request.job_name(outputs, options, datetime.datetime.now(datetime.UTC), tuning=False)
    if _command(stage, outputs, machine, job) is not None:
        raise OptionError("A job's name is used once.", job, "Choose another, or leave it out.")
    for warning in preflight.check_data(stage, _for_instance(outputs), config, options).warnings:
        say(f"Warning: {warning}")
    keep = keep_running and machine.state == "running"
    told = _upload(stage, outputs, config, options, job, keep=keep)
    try:
        machine.start(say)
        text = script(stage, outputs, job, told["source"], options.max_runtime, keep=keep)
        _send(stage, outputs, machine, job, text, options.max_runtime)
    except BaseException:
        if not keep:
            machine.stop()
        raise
    with detachable(stage, job):
        say(f"Started the job {job} on the instance {machine.id}.")
    return job


def follow(
    stage: Stage,
    outputs: Mapping[str, Any],
    name: str,
    say: Say,
    *,
    progress: bool = True,
    interval: float = _INTERVAL,
) -> dict[str, Any]:
    """Show the job until it is over, then stop its instance; return its description.

    Raises:
        JobError: it fails or is stopped, or there is none of the name.
        Detached: Ctrl-C; the instance stops itself when the job is over.
    """
    machine = Machine(stage, outputs)
    view = _View(stage, outputs, machine, name, say, progress=progress)
    try:
        description = watch(view, interval)
    except KeyboardInterrupt:
        raise Detached(stage, name) from None
    except JobError:
        _release(view, machine, say)
        raise
    finally:
        view.close()
    _release(view, machine, say)
    return description


def collect(stage: Stage, outputs: Mapping[str, Any], name: str, runs_dir: Path) -> results.Collected:
    """Bring the model and the report of the completed job here.

    Raises:
        JobError: the job left no model, or what it left is damaged.
    """
    place = f"{request.output_location(outputs)}{name}/"
    data = _told(stage, outputs, name)["data"]
    sent = _command(stage, outputs, Machine(stage, outputs), name)
    started = sent["RequestedDateTime"] if sent else None
    archives = (f"{place}output/model.tar.gz", f"{place}output/output.tar.gz")
    return results.collect_from(stage, name, *archives, runs_dir, data=data, started=started)


def list_jobs(stage: Stage, outputs: Mapping[str, Any]) -> list[Job]:
    """Return the instance's jobs of the last thirty days, the newest first; none without an instance."""
    if not outputs.get("training_instance_id"):
        return []
    machine = Machine(stage, outputs)
    commands = _commands(stage, outputs, machine)
    return [Job("ec2", c["Comment"], _status(machine, c), c["RequestedDateTime"]) for c in commands]


def stop(stage: Stage, outputs: Mapping[str, Any], name: str) -> None:
    """End the job, unless it is stopped, and stop its instance; its checkpoints stay.

    Raises:
        JobError: there is none of the name, or it has come to another end.
    """
    machine = Machine(stage, outputs)
    sent = _command(stage, outputs, machine, name)
    status = _status(machine, sent) if sent is not None else "no such job"
    if sent is None or status not in ("InProgress", "Stopped"):
        received = f"{name}: {status}"
        raise JobError("A job to stop is running.", received, "./inv jobs lists them.")
    if status == "InProgress":
        stage.client("ssm").cancel_command(CommandId=sent["CommandId"], InstanceIds=[machine.id])
    if not _keeps(stage, outputs, name):
        machine.stop()


def script(
    stage: Stage, outputs: Mapping[str, Any], job: str, code: str, max_runtime: int, *, keep: bool
) -> str:
    """Return what the instance runs. The embedded cloud takes paths below /opt to be the instance's own."""
    bucket, key = source.split_uri(code + source.ARCHIVE)
    location = f"{request.output_location(outputs)}{job}/"
    minutes = math.ceil((max_runtime + _SETUP) / 60) + 5
    end = "shutdown -c" if keep else "shutdown -c; shutdown -h +1"
    return f"""#!/bin/bash
# Trains, and switches the machine off: a minute after the end, or, should nothing else do it, when its time is over.
exec 2>&1
shutdown -h +{minutes}
trap 'cd /; {end}' EXIT
set -eu
export HOME="${{HOME:-/root}}" AWS_REGION={stage.region} AWS_DEFAULT_REGION={stage.region} PYTHONUNBUFFERED=1
status=
for _ in $(seq 720); do # an hour: the packages are installed on the first boot
    status=$(cat {_ROOT}/status 2>/dev/null || echo booting)
    case $status in ready | failed*) break ;; esac
    sleep 5
done
if [ "$status" != ready ]; then
    echo "error: The instance has not become ready: $status. See /var/log/kennel-setup.log on it."
    exit 70
fi
mkdir -p {_ROOT}/jobs/{job}/code
cd {_ROOT}/jobs/{job}/code
{_ROOT}/venv/bin/python -c {shlex.quote(_FETCH)} {shlex.quote(bucket)} {shlex.quote(key)} ../{source.ARCHIVE}
{_ROOT}/venv/bin/python -m tarfile --filter data -e ../{source.ARCHIVE} .
{_ROOT}/venv/bin/python -m ml.jobs.instance {_ROOT} {shlex.quote(location)}
"""


class _View(LogView):
    """The job as Run Command knows it."""

    status_key = "Status"

    def __init__(
        self,
        stage: Stage,
        outputs: Mapping[str, Any],
        machine: Machine,
        name: str,
        say: Say,
        *,
        progress: bool,
    ) -> None:
        self.stage, self.outputs, self._machine = stage, outputs, machine
        sent = _command(stage, outputs, machine, name)
        if sent is None:
            raise JobError("A job to follow exists.", name, "./inv jobs lists them.")
        self._id = str(sent["CommandId"])
        logs = Logs(stage.client("logs"), _log_group(outputs), self._id)
        super().__init__(logs, name, say, progress=progress)

    def describe(self) -> dict[str, Any]:
        client = self.stage.client("ssm")
        try:
            found = client.get_command_invocation(CommandId=self._id, InstanceId=self._machine.id)
        except client.exceptions.InvocationDoesNotExist:  # the command was sent a moment ago
            return {"Status": "InProgress"}
        status = _STATUS[found["Status"]]
        if status == "InProgress" and not self._machine.runs:
            # Nobody is left to tell Run Command, which would wait until the command's time is over.
            left = _read(self.stage, self.outputs, self.name, STATUS)
            if left is not None and left["code"] == 0:
                return {"Status": "Completed"}
            return {
                "Status": "Stopped",
                "FailureReason": "the instance was stopped before the job was over; the same settings and photos go "
                "on from the last checkpoint",
            }
        return {"Status": status, "FailureReason": self._reason(found) if status == "Failed" else ""}

    def show(self, description: dict[str, Any]) -> int:
        self._bar.set_description_str(description["Status"])
        return self.show_lines()

    def _reason(self, found: Mapping[str, Any]) -> str:
        if found["StatusDetails"] in ("DeliveryTimedOut", "Undeliverable"):
            return f"{found['StatusDetails']}: the instance did not take the command; its role needs ssmmessages:*"
        if found["StatusDetails"] == "ExecutionTimedOut":
            return "MaxRuntimeExceeded: the command's time is over"
        left = _read(self.stage, self.outputs, self.name, STATUS)
        failure = left["failure"] if left else ""
        return failure or f"exit status {found['ResponseCode']}: {found['StandardErrorContent']}"


def _upload(
    stage: Stage,
    outputs: Mapping[str, Any],
    config: TrainConfig,
    options: JobOptions,
    job: str,
    *,
    keep: bool,
) -> dict[str, Any]:
    """Bring code, photos and settings to the bucket; return what the job is told."""
    data, _ = source.upload_data(stage, outputs, config.data, seed=config.seed)
    weights = None
    if request.has_weights_file(config):
        weights = source.upload_weights(stage, outputs, config.weights)
    parameters = request.hyperparameters(config)
    same = json.dumps([parameters, data, weights], sort_keys=True)
    key = hashlib.sha256(same.encode()).hexdigest()[:32]
    told = {
        "name": job,
        "key": key,
        "hyperparameters": parameters,
        "data": data,
        "weights": weights,
        "checkpoints": f"{outputs['artifact_locations']['scratch']}checkpoints/ec2/{key}/",
        "processes": options.processes,
        "max_runtime": options.max_runtime,
    }
    bucket, prefix = source.split_uri(f"{request.output_location(outputs)}{job}/")
    client = stage.client("s3")
    client.put_object(Bucket=bucket, Key=prefix + TOLD, Body=json.dumps(told).encode())
    client.put_object(Bucket=bucket, Key=f"{prefix}client.json", Body=json.dumps({"keep": keep}).encode())
    return {**told, "source": source.upload_source(stage, outputs)}


def _send(
    stage: Stage, outputs: Mapping[str, Any], machine: Machine, job: str, text: str, max_runtime: int
) -> None:
    try:
        stage.client("ssm").send_command(
            DocumentName=DOCUMENT,
            InstanceIds=[machine.id],
            Comment=job,
            TimeoutSeconds=_DELIVERY,
            Parameters={"commands": text.splitlines(), "executionTimeout": [str(max_runtime + _SETUP)]},
            CloudWatchOutputConfig={
                "CloudWatchOutputEnabled": True,
                "CloudWatchLogGroupName": _log_group(outputs),
            },
        )
    except ClientError as error:
        raise JobError(
            "Run Command takes the job.", error, f"Your own rights need ssm:SendCommand on {machine.id} and on the "
            f"document {DOCUMENT}.",
        ) from error  # fmt: skip


def _check_idle(stage: Stage, outputs: Mapping[str, Any], machine: Machine) -> None:
    for sent in _commands(stage, outputs, machine):
        if _status(machine, sent) == "InProgress":
            job = sent["Comment"]
            raise JobError(
                "The instance runs one job at a time.",
                f"{job} is running on {machine.id}",
                f"{command(stage, 'attach', job)} follows it, {command(stage, 'stop', job)} ends it.",
            )


def _release(view: _View, machine: Machine, say: Say) -> None:
    """Stop the instance, the job being over, unless somebody uses it for something else since."""
    newest = next(_commands(view.stage, view.outputs, machine))
    try:
        if newest["Comment"] != view.name or machine.launched > newest["RequestedDateTime"]:
            return
    except MachineError:  # it is gone, and with it what would have to be stopped
        return
    if _keeps(view.stage, view.outputs, view.name):
        say(f"The instance {machine.id} goes on running, as it did before.")
    elif machine.stop():
        say(f"The instance {machine.id} is being stopped.")


def _status(machine: Machine, sent: Mapping[str, Any]) -> str:
    """What a command seems to do on an instance that does not run went down with it: nobody tells Run Command."""
    status = _STATUS[sent["Status"]]
    if status != "InProgress":
        return status
    try:
        return status if machine.runs else "Stopped"
    except MachineError:
        return "Stopped"


def _commands(stage: Stage, outputs: Mapping[str, Any], machine: Machine) -> Iterator[dict[str, Any]]:
    pages = stage.client("ssm").get_paginator("list_commands").paginate(InstanceId=machine.id)
    for page in pages:
        for sent in page["Commands"]:
            if sent.get("Comment", "").startswith(f"{outputs['prefix']}-"):
                yield sent


def _command(stage: Stage, outputs: Mapping[str, Any], machine: Machine, name: str) -> dict[str, Any] | None:
    return next((c for c in _commands(stage, outputs, machine) if c["Comment"] == name), None)


def _keeps(stage: Stage, outputs: Mapping[str, Any], name: str) -> bool:
    left = _read(stage, outputs, name, "client.json")
    return left is not None and bool(left["keep"])


def _told(stage: Stage, outputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    told = _read(stage, outputs, name, TOLD)
    if told is None:
        raise JobError("A job to collect exists.", name, "./inv jobs lists them.")
    return told


def _read(stage: Stage, outputs: Mapping[str, Any], name: str, file: str) -> dict[str, Any] | None:
    """What lies beside the job's output; None where there is nothing."""
    bucket, prefix = source.split_uri(f"{request.output_location(outputs)}{name}/")
    client = stage.client("s3")
    try:
        content: dict[str, Any] = json.loads(
            client.get_object(Bucket=bucket, Key=prefix + file)["Body"].read()
        )
    except client.exceptions.NoSuchKey:
        return None
    return content


def _for_instance(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs, with the instance's role where that of SageMaker's jobs stands."""
    roles = outputs["roles"]
    return {**outputs, "roles": {**roles, "training": roles["training_instance"]}}


def _log_group(outputs: Mapping[str, Any]) -> str:
    return str(outputs["log_groups"]["training_instance"])
