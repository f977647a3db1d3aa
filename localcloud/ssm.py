"""Systems Manager: Run Command with the document AWS-RunShellScript, on the instances of `localcloud.machines`."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any, cast

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.ssm import urls
from moto.ssm.exceptions import SSMException
from moto.ssm.models import SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from localcloud import gaps
from localcloud.config import Config
from localcloud.machines.invocation import PLUGIN, Invocation, Script
from localcloud.machines.machine import Machine

DOCUMENT = "AWS-RunShellScript"
_AGENT = "3.3.2299.0"
_STDOUT, _STDERR, _BOTH = 24_000, 8_000, 2_500  # characters that the service keeps of an output
_PARAMETERS = {"commands", "workingDirectory", "executionTimeout"}
_REFUSED = ("Targets", "DocumentVersion", "DocumentHash", "NotificationConfig", "AlarmConfiguration")
_ENDED_BADLY = ("Failed", "TimedOut", "Cancelled")


class Command:
    """What one SendCommand asked for, and its invocation on each instance."""

    def __init__(self, request: dict[str, Any], script: Script, machines: list[Machine]) -> None:
        self.request = request
        self.id = script.command_id
        self.requested = datetime.now(UTC)
        self.invocations = {machine.id: Invocation(script, machine) for machine in machines}

    @property
    def status(self) -> tuple[str, str]:
        """The worst that there is, once all are over."""
        found = [invocation.status for invocation in self.invocations.values()]
        for open_status in ("Cancelling", "InProgress", "Pending"):
            if any(status == open_status for status, _ in found):
                started = any(status != "Pending" for status, _ in found)
                return ("InProgress", "InProgress") if started and open_status == "Pending" else (
                    open_status, open_status,
                )  # fmt: skip
        bad = [pair for name in _ENDED_BADLY for pair in found if pair[0] == name]
        return bad[0] if bad else ("Success", "Success")

    def describe(self) -> dict[str, Any]:
        status, details = self.status
        counts = Counter(invocation.status for invocation in self.invocations.values())
        over = sum(invocation.is_over for invocation in self.invocations.values())
        delivery = counts["TimedOut", "DeliveryTimedOut"]
        timeout = self.request.get("TimeoutSeconds", 3600)
        return {
            **{name: self.request.get(name, "") for name in ("OutputS3BucketName", "OutputS3KeyPrefix")},
            "CommandId": self.id,
            "DocumentName": DOCUMENT,
            "DocumentVersion": "$DEFAULT",
            "Comment": self.request.get("Comment", ""),
            "Parameters": self.request["Parameters"],
            "InstanceIds": list(self.invocations),
            "Targets": [],
            "RequestedDateTime": self.requested,
            "ExpiresAfter": datetime.fromtimestamp(self.requested.timestamp() + timeout, UTC),
            "Status": status,
            "StatusDetails": details,
            "MaxConcurrency": self.request.get("MaxConcurrency", "50"),
            "MaxErrors": self.request.get("MaxErrors", "0"),
            "TargetCount": len(self.invocations),
            "CompletedCount": over,
            "ErrorCount": sum(n for (status, _), n in counts.items() if status == "Failed"),
            "DeliveryTimedOutCount": delivery,
            "CloudWatchOutputConfig": self.request.get("CloudWatchOutputConfig", {}),
            "TimeoutSeconds": timeout,
        }

    def describe_invocation(self, invocation: Invocation, *, details: bool) -> dict[str, Any]:
        status, said = invocation.status
        both = f"{invocation.output('stdout', _BOTH)}{invocation.output('stderr', _BOTH)}"[:_BOTH]
        plugin = {
            "Name": PLUGIN,
            "Status": "InProgress" if status == "Cancelling" else status,
            "StatusDetails": said,
            "ResponseCode": invocation.code,
            "ResponseStartDateTime": _time(invocation.started),
            "ResponseFinishDateTime": _time(invocation.ended),
            "Output": both,
            "StandardOutputUrl": invocation.url("stdout"),
            "StandardErrorUrl": invocation.url("stderr"),
        }
        return {
            "CommandId": self.id,
            "InstanceId": invocation.machine.id,
            "InstanceName": "",
            "Comment": self.request.get("Comment", ""),
            "DocumentName": DOCUMENT,
            "DocumentVersion": "$DEFAULT",
            "RequestedDateTime": self.requested,
            "Status": status,
            "StatusDetails": said,
            "StandardOutputUrl": invocation.url("stdout"),
            "StandardErrorUrl": invocation.url("stderr"),
            "CommandPlugins": [_without_none(plugin)] if details else [],
            "CloudWatchOutputConfig": self.request.get("CloudWatchOutputConfig", {}),
        }


class Backend(SimpleSystemManagerBackend):
    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.commands: dict[str, Command] = {}

    def send(self, request: dict[str, Any]) -> Command:
        for name in _REFUSED:
            if request.get(name):
                raise NotImplementedError(f"SendCommand with {name}")
        if request["DocumentName"] not in (DOCUMENT, f"arn:{self.partition}:ssm:::document/{DOCUMENT}"):
            if request["DocumentName"].startswith(("AWS-", "AmazonCloudWatch-")):
                raise NotImplementedError(f"SendCommand with the document {request['DocumentName']}")
            raise SSMException(
                "InvalidDocument", f"Document with name {request['DocumentName']} does not exist."
            )
        ids = request.get("InstanceIds", [])
        if len(set(ids)) < len(ids):
            raise SSMException("DuplicateInstanceId", "Instance IDs must be unique.")
        script = _script(request)
        online = {machine.id: machine for machine in self.machines() if machine.is_online}
        if not ids or not set(ids) <= set(online):
            message = f"Instances [[{', '.join(ids)}]] not in a valid state for account {self.account_id}"
            raise SSMException("InvalidInstanceId", message)
        command = Command(request, script, [online[one] for one in ids])
        self.commands[command.id] = command
        return command

    def command(self, command_id: str) -> Command:
        if command_id not in self.commands:
            raise SSMException("InvalidCommandId", "")
        return self.commands[command_id]

    def invocation(self, command_id: str, instance_id: str) -> Invocation:
        found = self.commands[command_id].invocations if command_id in self.commands else {}
        if instance_id not in found:
            raise SSMException("InvocationDoesNotExist", "")
        return found[instance_id]

    def machines(self) -> list[Machine]:
        return cast("list[Machine]", ec2_backends[self.account_id][self.region_name].all_instances())

    def find(self, request: dict[str, Any]) -> list[Command]:
        """The newest first."""
        if request.get("CommandId"):
            found = [self.command(request["CommandId"])]
        else:
            found = list(reversed(self.commands.values()))
        if request.get("InstanceId"):
            found = [command for command in found if request["InstanceId"] in command.invocations]
        for condition in request.get("Filters") or []:
            found = [command for command in found if _meets(command, condition["key"], condition["value"])]
        return found


class Ssm(SimpleSystemManagerResponse):
    @property
    def _own(self) -> Backend:
        return cast(Backend, self.ssm_backend)

    @property
    def _request(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))

    def send_command(self) -> ActionResult:
        return ActionResult({"Command": self._own.send(self._request).describe()})

    def start_session(self) -> ActionResult:
        target = self._request["Target"]
        machine = next((one for one in self._own.machines() if one.id == target), None)
        if machine is None or not machine.takes_sessions:
            raise SSMException("TargetNotConnected", f"{target} is not connected.")
        raise NotImplementedError("the stream of a session")

    def cancel_command(self) -> ActionResult:
        command = self._own.command(self._request["CommandId"])
        ids = self._request.get("InstanceIds") or list(command.invocations)
        for instance_id in ids:
            if instance_id not in command.invocations:
                raise SSMException("InvalidInstanceId", f"The command has no invocation on {instance_id}.")
        for instance_id in ids:
            command.invocations[instance_id].cancel()
        return EmptyResult()

    def list_commands(self) -> ActionResult:
        found, token = _page(self._own.find(self._request), self._request)
        return ActionResult({"Commands": [command.describe() for command in found], "NextToken": token})

    def list_command_invocations(self) -> ActionResult:
        details = bool(self._request.get("Details"))
        entries = [
            command.describe_invocation(invocation, details=details)
            for command in self._own.find(self._request)
            for instance_id, invocation in command.invocations.items()
            if self._request.get("InstanceId") in (None, instance_id)
        ]
        found, token = _page(entries, self._request)
        return ActionResult({"CommandInvocations": found, "NextToken": token})

    def get_command_invocation(self) -> ActionResult:
        command_id, instance_id = self._request["CommandId"], self._request["InstanceId"]
        invocation = self._own.invocation(command_id, instance_id)
        if self._request.get("PluginName") not in (None, PLUGIN):
            raise SSMException("InvalidPluginName", f"There is no plugin {self._request['PluginName']}.")
        command = self._own.command(command_id)
        described = command.describe_invocation(invocation, details=False)
        kept = ("CommandId", "InstanceId", "Comment", "DocumentName", "DocumentVersion", "Status",
                "StatusDetails", "StandardOutputUrl", "StandardErrorUrl", "CloudWatchOutputConfig")  # fmt: skip
        started, ended = invocation.started, invocation.ended
        return ActionResult(
            {
                **{name: described[name] for name in kept},
                "PluginName": PLUGIN,
                "ResponseCode": invocation.code,
                "ExecutionStartDateTime": _text(started),
                "ExecutionElapsedTime": f"PT{ended - started:.3f}S" if started and ended else "",
                "ExecutionEndDateTime": _text(ended),
                "StandardOutputContent": invocation.output("stdout", _STDOUT),
                "StandardErrorContent": invocation.output("stderr", _STDERR),
            }
        )

    def describe_instance_information(self) -> ActionResult:
        known = [_information(machine) for machine in self._own.machines() if machine.is_managed]
        known = [entry for entry in known if entry["PingStatus"] is not None]
        for condition in self._request.get("Filters") or []:
            known = _filtered(known, condition["Key"], condition["Values"])
        for condition in self._request.get("InstanceInformationFilterList") or []:
            known = _filtered(known, condition["key"], condition["valueSet"])
        found, token = _page(known, self._request)
        return ActionResult({"InstanceInformationList": found, "NextToken": token})


def _script(request: dict[str, Any]) -> Script:
    parameters = request.get("Parameters") or {}
    unknown = sorted(parameters.keys() - _PARAMETERS)
    if unknown or not parameters.get("commands"):
        raise SSMException("InvalidParameters", f"{unknown[0] if unknown else 'commands'} is not valid.")
    timeout = (parameters.get("executionTimeout") or ["3600"])[0]
    if not re.fullmatch(
        r"([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)", timeout
    ):
        raise SSMException("InvalidParameters", "executionTimeout must be from 1 to 172800.")
    logged = request.get("CloudWatchOutputConfig") or {}
    group = logged.get("CloudWatchLogGroupName") or f"/aws/ssm/{DOCUMENT}"
    return Script(
        command_id=str(uuid.uuid4()),
        lines=tuple(parameters["commands"]),
        working_directory=(parameters.get("workingDirectory") or [""])[0],
        execution_timeout=float(timeout),
        delivery_timeout=float(request.get("TimeoutSeconds", 3600)),
        log_group=group if logged.get("CloudWatchOutputEnabled") else None,
        bucket=request.get("OutputS3BucketName", ""),
        key_prefix=request.get("OutputS3KeyPrefix", "").strip("/"),
    )


def _information(machine: Machine) -> dict[str, Any]:
    gone = machine.state in ("shutting-down", "terminated")
    return {
        "InstanceId": machine.id,
        "PingStatus": None if gone else "Online" if machine.is_online else "ConnectionLost",
        "LastPingDateTime": _time(machine.last_ping or machine.registered),
        "AgentVersion": _AGENT,
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Amazon Linux",
        "PlatformVersion": "2023",
        "ResourceType": "EC2Instance",
        "IPAddress": machine.private_ip,
        "ComputerName": machine.private_dns_name,
    }


def _filtered(entries: list[dict[str, Any]], key: str, values: list[str]) -> list[dict[str, Any]]:
    names = {"InstanceIds": "InstanceId", "PlatformTypes": "PlatformType"}
    name = names.get(key, key)
    if name not in ("InstanceId", "PingStatus", "PlatformType", "ResourceType", "AgentVersion"):
        raise NotImplementedError(f"DescribeInstanceInformation with the filter {key}")
    return [entry for entry in entries if entry[name] in values]


def _meets(command: Command, key: str, value: str) -> bool:
    if key == "Status":
        return command.status[0] == value
    if key == "DocumentName":
        return value == DOCUMENT
    if key in ("InvokedAfter", "InvokedBefore"):
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (command.requested > moment) == (key == "InvokedAfter")
    raise NotImplementedError(f"the filter {key}")


def _page(entries: list[Any], request: dict[str, Any]) -> tuple[list[Any], str | None]:
    start, size = int(request.get("NextToken") or 0), int(request.get("MaxResults") or 50)
    end = start + size
    return entries[start:end], str(end) if end < len(entries) else None


def _time(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC)


def _text(moment: float | None) -> str:
    return (
        ""
        if moment is None
        else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    )


def _without_none(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


def install(_: Config) -> None:
    gaps.replace_backend(ssm_backends, Backend, urls)
    gaps.replace_responses(urls, Ssm)
