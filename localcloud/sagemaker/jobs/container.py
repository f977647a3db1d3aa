"""One instance of a training job: a process group in the contract of SageMaker's training containers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from localcloud import logs
from localcloud.actors import Actor
from localcloud.config import Config, Image
from localcloud.processes import Child, spawn
from localcloud.sagemaker.jobs import channels

GROUP = "homogeneousCluster"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_BASE = re.compile(r"/opt/ml(?![\w.-])")
_FAILURE_CHARACTERS = 1024  # of output/failure; AWS's limit
_LAST_WORDS = 5.0  # s until the log of a process that has ended is given up


@dataclass(frozen=True)
class Cluster:
    """What all instances of one attempt at a job share."""

    config: Config
    image: Image
    job_arn: str
    actor: Actor
    request: dict[str, Any]  # as CreateTrainingJob took it
    hosts: tuple[str, ...]
    master_port: int
    log_time: int  # epoch seconds

    @property
    def job_name(self) -> str:
        return str(self.request["TrainingJobName"])


class Container:
    def __init__(self, cluster: Cluster, host: str, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.base = folder / "opt" / "ml"
        self._cluster = cluster
        self._child: Child | None = None
        self._log: threading.Thread | None = None

    def prepare(self) -> None:
        """Make /opt/ml with its configuration. Channels and checkpoints come from elsewhere."""
        for name in ("input/config", "input/data", "model", "output/data"):
            (self.base / name).mkdir(parents=True)
        (self.folder / "tmp").mkdir()
        request = self._cluster.request
        instance_type = request["ResourceConfig"]["InstanceType"]
        hosts = list(self._cluster.hosts)
        group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": hosts}
        mode = request["AlgorithmSpecification"]["TrainingInputMode"]
        documents = {
            "hyperparameters": request.get("HyperParameters") or {},
            "resourceconfig": {
                "current_host": self.host,
                "current_instance_type": instance_type,
                "current_group_name": GROUP,
                "hosts": hosts,
                "instance_groups": [group],
                "network_interface_name": "lo",  # AWS's is eth0; here all instances are on this machine
            },
            "inputdataconfig": channels.configuration(request.get("InputDataConfig") or [], mode),
        }
        for name, document in documents.items():
            (self.base / "input" / "config" / f"{name}.json").write_text(json.dumps(document))

    def start(self, on_line: Callable[[str], None]) -> None:
        self._child = spawn(
            self._command(), env=self._environment(), cwd=self.base, stdout=subprocess.PIPE, marked=True
        )
        cluster = self._cluster
        name = f"{cluster.job_name}/{self.host}-{cluster.log_time}"
        actor = cluster.actor
        stream = logs.Stream(
            actor.account_id, actor.region, LOG_GROUP, name, returns=False, actor=actor, looks=True
        )
        self._log = logs.follow(cast("IO[bytes]", self._child.stdout), stream, on_line)

    def _command(self) -> list[str]:
        algorithm = self._cluster.request["AlgorithmSpecification"]
        entry = algorithm.get("ContainerEntrypoint") or self._cluster.image.train
        return [self._here(word) for word in (*entry, *(algorithm.get("ContainerArguments") or ()))]

    def _here(self, text: str) -> str:
        """/opt/ml is a folder of this instance's own, since it has no file system of its own."""
        return _BASE.sub(str(self.base), text)

    def _environment(self) -> dict[str, str]:
        cluster = self._cluster
        own = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        python = str(Path(cluster.image.python).parent)
        given = cluster.request.get("Environment") or {}
        return {
            **own,
            **self._aws(),
            "PATH": os.pathsep.join(filter(None, [python, os.environ.get("PATH")])),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONUNBUFFERED": "1",
            **{name: self._here(value) for name, value in {**cluster.image.env, **given}.items()},
            **self._toolkit(),
            "SAGEMAKER_BASE_DIR": str(self.base),
            "TRAINING_JOB_NAME": cluster.job_name,
            "TRAINING_JOB_ARN": cluster.job_arn,
            # algo-1 and the other names lead nowhere on this machine
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(cluster.master_port),
        }

    def _aws(self) -> dict[str, str]:
        """The role's credentials, for as long as a role's session may last; none in an isolated container."""
        cluster = self._cluster
        region = {"AWS_REGION": cluster.actor.region, "AWS_DEFAULT_REGION": cluster.actor.region}
        if cluster.request["EnableNetworkIsolation"]:
            return region
        credentials = cluster.actor.credentials("SageMaker", seconds=43_200)
        return {**cluster.config.aws_environment(), **credentials, **region}

    def _toolkit(self) -> dict[str, str]:
        """What SageMaker's training toolkit would set inside of the container."""
        request = self._cluster.request
        names = [channel["ChannelName"] for channel in request.get("InputDataConfig") or []]
        data = self.base / "input" / "data"
        gpus = [path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()]
        return {
            "SM_HOSTS": json.dumps(list(self._cluster.hosts)),
            "SM_CURRENT_HOST": self.host,
            "SM_NETWORK_INTERFACE_NAME": "lo",
            "SM_CHANNELS": json.dumps(names),
            **{f"SM_CHANNEL_{name.upper().replace('-', '_')}": str(data / name) for name in names},
            "SM_INPUT_DIR": str(self.base / "input"),
            "SM_MODEL_DIR": str(self.base / "model"),
            "SM_OUTPUT_DIR": str(self.base / "output"),
            "SM_OUTPUT_DATA_DIR": str(self.base / "output" / "data"),
            "SM_NUM_GPUS": str(len(gpus)),
            "SM_NUM_CPUS": str(os.cpu_count() or 1),
            "SM_HPS": json.dumps(request.get("HyperParameters") or {}),
        }

    def poll(self) -> int | None:
        """Exit code as Docker has it, None while it runs; 0 before it starts."""
        code = 0 if self._child is None else self._child.poll()
        return 128 - code if code is not None and code < 0 else code

    def ask_to_end(self) -> None:
        """SIGTERM to the first process, as Docker does; what it started is its own business."""
        if self._child is not None:
            self._child.send(signal.SIGTERM, alone=True)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def join_log(self) -> None:
        if self._log is not None:
            self._log.join(_LAST_WORDS)

    def failure(self) -> str:
        """What the algorithm said of its failure; "" where it did not."""
        try:
            with (self.base / "output" / "failure").open(encoding="utf-8", errors="replace") as file:
                return file.read(_FAILURE_CHARACTERS)
        except OSError:
            return ""


def end(containers: Sequence[Container], grace: float) -> bool:
    """SIGTERM to all, SIGKILL to those that are there `grace` seconds later: whether there were any."""
    deadline = time.monotonic() + grace
    for container in containers:
        if grace > 0 and container.poll() is None:
            container.ask_to_end()
    while time.monotonic() < deadline and any(container.poll() is None for container in containers):
        time.sleep(0.02)
    killed = any(container.poll() is None for container in containers)
    for container in containers:
        container.kill()
    for container in containers:
        container.join_log()
    return killed
