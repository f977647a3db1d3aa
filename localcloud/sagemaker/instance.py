"""One instance behind an endpoint: a process of the model server in the container's contract."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import urllib3

from localcloud import interfaces, logs
from localcloud.actors import Actor
from localcloud.authorization import Denied
from localcloud.config import Config, Image
from localcloud.http_server import HOST
from localcloud.processes import Child, spawn
from localcloud.sagemaker import archive
from localcloud.sagemaker.capacity import INSUFFICIENT, Capacity, is_withheld
from localcloud.sagemaker.capture import Capture

STARTUP_TIMEOUT = 480.0  # s until /ping must answer 200, where the variant does not say
INVOCATION_TIMEOUT = 60.0  # s; SageMaker's cap
_PING_TIMEOUT = 2.0  # s an attempt; SageMaker's
_PING_INTERVAL = 0.1  # s
_GRACE = 5.0  # s from SIGTERM to SIGKILL


class StartError(Exception):
    """An instance did not come up. The message is a FailureReason as AWS words it."""


class PingError(StartError):
    """Its container runs, or did, and was not ready in time."""


@dataclass(frozen=True)
class Host:
    """Where instances run."""

    config: Config
    folder: Path
    capacity: Capacity | None = None  # None: as many as are wanted

    def image(self, uri: str) -> Image | None:
        repository = uri.partition("/")[2].rpartition(":")[0] or uri.partition("/")[2]
        return self.config.images.get(repository.partition("@")[0])


@dataclass(frozen=True)
class InstanceSpec:
    """What an instance is made from; fixed when its variant is deployed, as AWS does."""

    actor: Actor
    endpoint_name: str
    variant_name: str
    image: str  # URI
    model_data_url: str | None
    environment: dict[str, str] = field(default_factory=dict)
    startup_timeout: float = STARTUP_TIMEOUT  # s
    isolated: bool = False  # EnableNetworkIsolation
    instance_type: str = ""
    concurrency_metric: str = "ConcurrentRequestsPerModel"
    capture: Capture | None = None

    @property
    def account_id(self) -> str:
        return self.actor.account_id

    @property
    def region(self) -> str:
        return self.actor.region

    @property
    def dimensions(self) -> dict[str, str]:
        """Of what is measured of it."""
        return {"EndpointName": self.endpoint_name, "VariantName": self.variant_name}

    def usage(self, instance_id: str) -> dict[str, dict[str, str]]:
        """Where the use of an instance is measured: dimensions by namespace."""
        del instance_id
        where = {"EndpointName": self.endpoint_name, "VariantName": self.variant_name}
        return {"/aws/sagemaker/Endpoints": where}

    @property
    def what(self) -> str:
        """How a FailureReason calls what the container belongs to."""
        return f"production variant {self.variant_name}"

    @property
    def log_group(self) -> str:
        return f"/aws/sagemaker/Endpoints/{self.endpoint_name}"

    def log_stream(self, instance_id: str) -> str:
        return f"{self.variant_name}/{instance_id}"


class Instance:
    def __init__(self, spec: InstanceSpec, host: Host) -> None:
        self.id = f"i-{secrets.token_hex(8)}0"
        self.spec = spec
        self.in_flight = 0  # this and the next two are guarded by its fleet's lock
        self._busy = 0.0  # requests × s since the last time they were asked for
        self._counted = self._asked = time.monotonic()
        self._takes_capacity = False
        self._host = host
        self._folder = host.folder / spec.endpoint_name / self.id
        self._port = _free_port()
        self._child: Child | None = None
        self._log: threading.Thread | None = None
        self._interfaces: list[str] = []
        self._stopping = threading.Event()
        self._pool = urllib3.HTTPConnectionPool(HOST, self._port, maxsize=64, retries=False)

    def start(self) -> None:
        """Return once /ping answers 200; StartError otherwise, with nothing left behind."""
        if is_withheld():
            raise StartError(INSUFFICIENT)
        if self._host.capacity is not None:
            if not self._host.capacity.take(self.spec.instance_type):
                raise StartError(INSUFFICIENT)
            self._takes_capacity = True
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        image = self._host.image(self.spec.image)
        if image is None or not image.serve:
            known = ", ".join(self._host.config.repositories("serve")) or "none"
            raise StartError(
                f'The image "{self.spec.image}" for {self.spec.what} does not '
                f"exist. (The embedded cloud knows these repositories from its images file: {known}.)"
            )
        self._act()
        base = self._folder / "opt" / "ml"
        model = base / "model"
        if self.spec.model_data_url:
            try:
                archive.unpack(self.spec.model_data_url, self.spec.actor, model)
            except archive.ModelDataError as error:
                raise StartError(str(error)) from error
        else:
            model.mkdir(parents=True)
        self._child = spawn(
            image.serve, env=self._environment(image, base, model), cwd=base, stdout=subprocess.PIPE
        )
        stream = logs.Stream(
            self.spec.account_id,
            self.spec.region,
            self.spec.log_group,
            self.spec.log_stream(self.id),
            returns=False,  # output of an endpoint whose group was deleted goes nowhere
            actor=self.spec.actor,
            looks=True,
        )
        self._log = logs.follow(cast("IO[bytes]", self._child.stdout), stream)
        self._await_ping(self._child)

    def _act(self) -> None:
        """What the platform does in the role's name before there is an instance."""
        actor = self.spec.actor
        if not actor.assumable():
            raise StartError(
                f'The role "{actor.role}" cannot be assumed. Please ensure that the role exists and that its trust '
                f"relationship policy allows the action sts:AssumeRole for the service principal {actor.service}."
            )
        refused = actor.check_pull(self.spec.image)
        if refused is not None:
            raise StartError(
                f"The role '{actor.role}' does not have {refused} permission for the image: '{self.spec.image}'."
            )
        try:
            self._interfaces = interfaces.attach(
                actor, f"[Do not delete] ENI managed by SageMaker for {self.spec.endpoint_name}"
            )
        except Denied as error:
            raise StartError(
                f"Access denied when creating a network interface in your VPC: {error.message}"
            ) from error

    def _aws(self) -> dict[str, str]:
        """The role's credentials, for as long as a role's session may last; none in an isolated container."""
        if self.spec.isolated:
            return {}
        credentials = self.spec.actor.credentials("SageMaker", seconds=43_200)
        return {**self._host.config.aws_environment(), **credentials}

    def _environment(self, image: Image, base: Path, model: Path) -> dict[str, str]:
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **own,
            **self._aws(),
            "PYTHONPATH": str(model / "code"),
            "PYTHONUNBUFFERED": "1",
            **{name: value.replace("{model_dir}", str(model)) for name, value in image.env.items()},
            **self.spec.environment,
            "SAGEMAKER_BASE_DIR": str(base),
            "SAGEMAKER_BIND_TO_PORT": str(self._port),
        }

    def _await_ping(self, child: Child) -> None:
        deadline = time.monotonic() + self.spec.startup_timeout
        while time.monotonic() < deadline and not self._stopping.wait(_PING_INTERVAL):
            if child.poll() is not None:
                break
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if self._pool.request("GET", "/ping", timeout=_PING_TIMEOUT).status == 200:
                    return
        raise PingError(
            f"The primary container for {self.spec.what} did not pass the ping "
            "health check. Please check CloudWatch logs for this endpoint."
        )

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def survives(self, seconds: float) -> bool:
        """Whether it is still alive after so long."""
        return self._child is not None and self._child.wait(seconds) is None

    def execution_parameters(self) -> bytes:
        """What the container says of how batch transform should ask it; b"" where it does not."""
        try:
            answer = self._pool.request("GET", "/execution-parameters", timeout=_PING_TIMEOUT, redirect=False)
        except urllib3.exceptions.HTTPError:
            return b""
        return answer.data if answer.status == 200 else b""

    def invoke(
        self, body: bytes, headers: Mapping[str, str], seconds: float = INVOCATION_TIMEOUT
    ) -> urllib3.BaseHTTPResponse:
        """The container's answer to a request, whatever its status."""
        timeout = urllib3.Timeout(connect=_PING_TIMEOUT, read=seconds)
        return self._pool.request(
            "POST", "/invocations", body=body, headers=dict(headers), timeout=timeout, redirect=False
        )

    def count(self, change: int) -> None:
        """One more request, or one less."""
        now = time.monotonic()
        self._busy += self.in_flight * (now - self._counted)
        self._counted = now
        self.in_flight += change

    def concurrency(self) -> float:
        """Requests at a time, on average since this was called last."""
        self.count(0)
        seconds = max(self._counted - self._asked, 1e-9)
        busy, self._busy, self._asked = self._busy, 0.0, self._counted
        return busy / seconds

    @property
    def pid(self) -> int:
        return self._child.pid if self._child is not None else 0

    def cancel(self) -> None:
        """Let a start that is under way fail. Nothing happens to an instance that is up."""
        self._stopping.set()

    def stop(self) -> None:
        self._stopping.set()
        if self._child is not None:
            self._child.terminate(_GRACE)
        if self._log is not None:
            self._log.join(timeout=2.0)  # its last words
        self._pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        made, self._interfaces = self._interfaces, []
        interfaces.detach(self.spec.actor, made)
        if self._host.capacity is not None and self._takes_capacity:
            self._takes_capacity = False
            self._host.capacity.give_back(self.spec.instance_type)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
