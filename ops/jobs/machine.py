"""The stage's training instance: looked at, started, awaited, stopped."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops.stage import Stage

Say = Callable[[str], None]

_STATE_DEADLINE = 600.0  # seconds for a start or a stop
_ONLINE_DEADLINE = 600.0  # seconds from running until Systems Manager hears of it
_FIRST_PAUSE, _LAST_PAUSE = 0.2, 5.0  # seconds between looks


class MachineError(KennelError):
    """The training instance is not there, or not as it must be."""


class Machine:
    def __init__(self, stage: Stage, outputs: Mapping[str, Any]) -> None:
        self._stage = stage
        self._ec2, self._ssm = stage.client("ec2"), stage.client("ssm")
        found = outputs.get("training_instance_id")
        if not found:
            raise MachineError(
                "Training on EC2 needs the stage's training instance.",
                f"the stage {stage.name} has none",
                f"Set training_instance = {{}} in terraform/stages/{stage.name}.tfvars, then ./inv apply.",
            )
        self.id = str(found)

    def describe(self) -> dict[str, Any]:
        """Return what EC2 says of it.

        Raises:
            MachineError: it is gone.
        """
        try:
            reservations = self._ec2.describe_instances(InstanceIds=[self.id])["Reservations"]
            found: dict[str, Any] = reservations[0]["Instances"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound":
                raise
            raise self._gone("it does not exist") from error
        if found["State"]["Name"] in ("shutting-down", "terminated"):
            raise self._gone(found["State"]["Name"])
        return found

    @property
    def state(self) -> str:
        return str(self.describe()["State"]["Name"])

    @property
    def runs(self) -> bool:
        """Whether it is up, or comes up."""
        return self.state in ("pending", "running")

    @property
    def launched(self) -> datetime.datetime:
        """When it was started last."""
        moment: datetime.datetime = self.describe()["LaunchTime"]
        return moment

    def check_device(self, device: str) -> None:
        """Raise `MachineError` where a GPU is asked for and there is none."""
        if device != "cuda":
            return
        kind = self.describe()["InstanceType"]
        described = self._ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"]
        if not any(one.get("GpuInfo", {}).get("Gpus") for one in described):
            raise MachineError(
                "device=cuda needs an instance with a GPU.",
                f"{self.id} is a {kind}",
                'Set training_instance = { instance_type = "g4dn.xlarge" } and apply, or leave device at auto.',
            )

    def start(self, say: Say) -> None:
        """Start it, unless it runs, and wait until it takes commands.

        Raises:
            MachineError: AWS refuses, or it takes too long.
        """
        if self.state == "stopping":
            self._await_state("stopped")
        if self.state == "stopped":
            say(f"Starting the instance {self.id} …")
            try:
                self._ec2.start_instances(InstanceIds=[self.id])
            except ClientError as error:
                raise MachineError(
                    f"The instance {self.id} starts.",
                    error,
                    "Where AWS has no capacity: try later, or take another instance type. Your own rights need "
                    "ec2:StartInstances.",
                ) from error
        self._await_state("running")
        self._await_online()

    def stop(self) -> bool:
        """Stop it, whatever it does; return whether that was needed."""
        if self.state == "pending":
            self._await_state("running")
        if self.state != "running":
            return False
        self._ec2.stop_instances(InstanceIds=[self.id])
        return True

    def _await_state(self, wanted: str) -> None:
        def look() -> str:
            found = self.describe()
            state: str = found["State"]["Name"]
            if state != wanted and state == "stopped":
                reason = found.get("StateReason", {}).get("Message", "AWS does not say why")
                raise MachineError(f"The instance {self.id} starts.", f"it stopped again: {reason}",
                                   "Correct what it names, and try again.")  # fmt: skip
            return state

        last = _poll(look, wanted, _STATE_DEADLINE)
        if last != wanted:
            raise MachineError(
                f"The instance {self.id} is {wanted} within {_STATE_DEADLINE:.0f} s.",
                last,
                "See what the EC2 console says of it, and try again.",
            )

    def _await_online(self) -> None:
        condition = [{"Key": "InstanceIds", "Values": [self.id]}]

        def look() -> str:
            known = self._ssm.describe_instance_information(Filters=condition)["InstanceInformationList"]
            return str(known[0]["PingStatus"]) if known else "not registered"

        last = _poll(look, "Online", _ONLINE_DEADLINE)
        if last != "Online":
            raise MachineError(
                f"The instance {self.id} is in touch with Systems Manager {_ONLINE_DEADLINE:.0f} s after its start.",
                last,
                "It needs the role that Terraform gives it (./inv apply), and a way to Systems Manager: a way out, or "
                'network.interface_endpoints with "ssm" and "ssmmessages".',
            )

    def _gone(self, received: str) -> MachineError:
        return MachineError(
            "Training on EC2 needs the stage's training instance.",
            f"{self.id}: {received}",
            f"./inv apply --stage {self._stage.name} makes a new one.",
        )


def _poll(look: Callable[[], str], wanted: str, seconds: float) -> str:
    """Look, ever less often, until what is wanted is seen or the time is over; return what was seen last."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while (seen := look()) != wanted and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(1.5 * pause, _LAST_PAUSE)
    return seen
