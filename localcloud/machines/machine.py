"""An instance with its states: pending, running, stopping, stopped, shutting-down, terminated."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceState, StateReason
from moto.iam.models import iam_backends

from localcloud.actors import Actor
from localcloud.authorization import Denied
from localcloud.config import Config
from localcloud.machines.disk import Disk

log = logging.getLogger(__name__)

SERVICE = "ec2.amazonaws.com"
BOOT = 0.5  # s from pending to running; the same again until the agent has registered
_GRACE = 5.0  # s for commands to end when the machine is switched off
_POWER_INTERVAL = 0.2  # s
_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}


class IncorrectInstanceState(EC2ClientError):
    def __init__(self, instance_id: str, verb: str) -> None:
        message = f"The instance '{instance_id}' is not in a state from which it can be {verb}."
        super().__init__("IncorrectInstanceState", message)


class Boot:
    """From one start to the next stop."""

    def __init__(self) -> None:
        self.off = threading.Event()
        self.commands = 0  # that run now; guarded by the machine's lock


class Machine(Instance):
    config: ClassVar[Config]
    folder: ClassVar[Path]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.disk = Disk(self.folder / self.id)
        self.lock = threading.RLock()
        self.boot = Boot()
        self.last_ping: float | None = None  # time at which the agent was seen last
        self.registered: float | None = None
        self._power_on()

    # -- what moto's backend calls

    def prep_nics(self, nic_spec: list[dict[str, Any]], *arguments: Any, **named: Any) -> None:
        """moto keeps the first interface, AWS deletes it with its instance, unless the launch says otherwise."""
        spec = nic_spec or [{"DeviceIndex": 0}]
        for nic in spec:
            if int(nic["DeviceIndex"]) == 0 and "NetworkInterfaceId" not in nic:
                nic.setdefault("DeleteOnTermination", True)
        super().prep_nics(spec, *arguments, **named)

    def start(self) -> InstanceState:
        with self.lock:
            before = copy.copy(self._state)
            if self.state in ("pending", "running"):
                return before
            if self.state != "stopped":
                raise IncorrectInstanceState(self.id, "started")
            super().start()
            self._power_on()
            return before

    def stop(self) -> InstanceState:
        return self._switch_off("Client.UserInitiatedShutdown", "User initiated")

    def terminate(self) -> InstanceState:
        with self.lock:
            before = copy.copy(self._state)
            if self.state in ("shutting-down", "terminated"):
                return before
            super().terminate()  # gives network interface and disks back, for whoever waits for that
            self._become("shutting-down")
            self._end(self._terminated)
            return before

    def reboot(self) -> None:
        with self.lock:
            if self.state != "running":
                raise IncorrectInstanceState(self.id, "rebooted")
            self._end(self._boot_again)

    # -- states

    def _become(self, name: str) -> None:
        self._state = InstanceState(name, _CODES[name])  # a new one: answers under way hold the old

    def _power_on(self) -> None:
        self.disk.make()
        self.disk.forget_power_request()
        self.boot = Boot()
        self.launch_time = utcnow()
        self._become("pending")
        self._in_background(self._run, self.boot)

    def _run(self, boot: Boot) -> None:
        """The life of the machine from its start to its stop."""
        if boot.off.wait(BOOT):
            return
        with self.lock:
            if boot.off.is_set():
                return
            self._become("running")
        if boot.off.wait(BOOT):
            return
        self.registered = self.registered or time.time()
        while not boot.off.wait(_POWER_INTERVAL):
            self.last_ping = time.time()
            request = self.disk.take_power_request(self.last_ping)
            if request == "reboot":
                self.reboot()
            elif request == "off":
                self._shut_down()

    def _shut_down(self) -> None:
        code, reason = "Client.InstanceInitiatedShutdown", "Instance initiated shutdown"
        with self.lock:
            if self.instance_initiated_shutdown_behavior == "terminate":
                self.terminate()
                self.state_reason = StateReason(f"{code}: {reason}", code)
            elif self.state == "running":
                self._switch_off(code, reason)

    def _switch_off(self, code: str, reason: str) -> InstanceState:
        with self.lock:
            before = copy.copy(self._state)
            if self.state in ("stopping", "stopped"):
                return before
            if self.state != "running":
                raise IncorrectInstanceState(self.id, "stopped")
            super().stop()
            self._become("stopping")
            self.state_reason = StateReason(f"{code}: {reason}", code)
            self._end(self._stopped)
            return before

    def _end(self, then: Callable[[], object]) -> None:
        """Let the commands end, and go on in the background."""
        boot = self.boot
        boot.off.set()

        def wait() -> None:
            deadline = time.monotonic() + 2 * _GRACE
            while boot.commands and time.monotonic() < deadline:
                time.sleep(0.05)
            with self.lock:
                then()

        self._in_background(wait)

    def _stopped(self) -> None:
        if self.state == "stopping":  # it may have been terminated meanwhile
            self._become("stopped")

    def _terminated(self) -> None:
        self.disk.remove()
        self._become("terminated")

    def _boot_again(self) -> None:
        if self.state == "running":  # nobody stopped or ended it meanwhile
            self.disk.forget_power_request()
            self.boot = Boot()
            self._in_background(self._run, self.boot)

    def _in_background(self, work: Callable[..., None], *arguments: Any) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except Exception:
                log.exception("instance %s: what it does in the background failed", self.id)

        threading.Thread(target=guarded, name=f"machine {self.id}", daemon=True).start()

    # -- its role

    @property
    def actor(self) -> Actor | None:
        """Who it is by its instance profile; None without a role."""
        profile = self.iam_instance_profile
        if not profile:
            return None
        backend = iam_backends[self.owner_id][self.ec2_backend.partition]
        roles = next((p.roles for p in backend.instance_profiles.values() if p.arn == profile["Arn"]), [])
        if not roles:
            return None
        region = self.ec2_backend.region_name
        subnets = (self.subnet_id,) if self.subnet_id else ()
        return Actor(roles[0].arn, self.owner_id, region, SERVICE, self.arn, subnets)

    def may(self, action: str, resource: str = "*") -> bool:
        """Whether the role of the instance profile lets it; without a role nothing is allowed."""
        actor = self.actor
        return actor is not None and actor.may(action, resource)

    @property
    def arn(self) -> str:
        backend = self.ec2_backend
        return f"arn:{backend.partition}:ec2:{backend.region_name}:{self.owner_id}:instance/{self.id}"

    @property
    def is_managed(self) -> bool:
        """Whether the agent has been able to register with Systems Manager."""
        return self.registered is not None and self.may("ssm:UpdateInstanceInformation", self.arn)

    @property
    def is_online(self) -> bool:
        up = self.state == "running" and not self.boot.off.is_set()
        return up and self.is_managed and time.time() - (self.last_ping or 0) < 5.0

    @property
    def takes_commands(self) -> bool:
        """Commands come over the agent's control channel, which is a right of its own."""
        return self.is_online and (self._may_open("Control") or self.may("ec2messages:GetMessages"))

    @property
    def takes_sessions(self) -> bool:
        return self.is_online and self._may_open("Control") and self._may_open("Data")

    def _may_open(self, channel: str) -> bool:
        return self.may(f"ssmmessages:Create{channel}Channel") and self.may(
            f"ssmmessages:Open{channel}Channel"
        )

    def environment(self) -> dict[str, str]:
        return {
            **self.config.aws_environment(),
            **self._credentials(),
            **self.disk.environment(),
            "AWS_SSM_INSTANCE_ID": self.id,
            "AWS_SSM_REGION_NAME": self.ec2_backend.region_name,
            "LANG": "C.UTF-8",
        }

    def _credentials(self) -> dict[str, str]:
        """In place of the instance metadata service, which would give out new ones while a command runs."""
        actor = self.actor
        try:
            return actor.credentials(self.id, seconds=43_200) if actor is not None else {}
        except Denied as error:
            log.warning("instance %s gets no credentials: %s", self.id, error.message)
            return {}
