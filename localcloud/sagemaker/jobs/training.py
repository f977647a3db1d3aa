"""A training job's life, from Starting to Completed, Failed or Stopped."""

from __future__ import annotations

import logging
import secrets
import shutil
import socket
import threading
import time
from enum import Enum, auto
from pathlib import Path
from typing import Any

from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.utils import arn_formatter

from localcloud import interfaces
from localcloud.authorization import Denied
from localcloud.config import Image
from localcloud.http_server import HOST
from localcloud.sagemaker import capacity
from localcloud.sagemaker.instance import Host
from localcloud.sagemaker.jobs import artifacts, channels, requests
from localcloud.sagemaker.jobs.checkpoints import Checkpoints
from localcloud.sagemaker.jobs.container import Cluster, Container, end
from localcloud.sagemaker.jobs.course import Course
from localcloud.sagemaker.jobs.metrics import Scanner
from localcloud.sagemaker.jobs.settings import Settings
from localcloud.sagemaker.jobs.storage import Location, StorageError

log = logging.getLogger(__name__)

_POLL = 0.05  # s
_REASON_CHARACTERS = 1024  # of a FailureReason; AWS's limit


class _End(Enum):
    """Why an attempt at a job is over."""

    EXITED = auto()
    STOPPED = auto()
    INTERRUPTED = auto()
    RUNTIME = auto()
    WAIT = auto()


_OUTCOMES = {
    _End.EXITED: "Completed",
    _End.STOPPED: "Stopped",
    _End.RUNTIME: "MaxRuntimeExceeded",
    _End.WAIT: "MaxWaitTimeExceeded",
}


class JobError(Exception):
    """The job fails. The message is a FailureReason as AWS words it."""


class TrainingJob:
    def __init__(
        self,
        account_id: str,
        region: str,
        host: Host,
        settings: Settings,
        request: dict[str, Any],
        tuning_job_arn: str | None = None,
    ) -> None:
        """`request`: valid, with AWS's defaults in it."""
        self.name = str(request["TrainingJobName"])
        self.arn = str(arn_formatter("training-job", self.name, account_id, region))
        self.tags: list[dict[str, str]] = list(request.get("Tags") or [])
        self.request = {name: value for name, value in request.items() if name != "Tags"}
        self.tuning_job_arn = tuning_job_arn
        self.spot = bool(request["EnableManagedSpotTraining"])
        self.course = Course(spot=self.spot)
        definitions = request["AlgorithmSpecification"].get("MetricDefinitions") or []
        self._actor = requests.actor(request, account_id, region, tuning_job_arn or "")
        self.metrics = Scanner(self._actor, self.name, definitions)
        self._account_id = account_id
        self._host, self._settings = host, settings
        self._folder = host.folder / secrets.token_hex(
            4
        )  # short: sockets in TMPDIR have 108 characters for a path
        self._attempt_number = 0
        self._log_time = 0  # epoch seconds
        self._containers: list[Container] = []
        self._stop = threading.Event()
        self._interruption = threading.Event()
        self._closing = threading.Event()  # the cloud is being reset
        self._capacity_wait = 0.0  # s until there are spot instances again
        self.ended = threading.Event()

    @property
    def instance_count(self) -> int:
        return int(self.request["ResourceConfig"]["InstanceCount"])

    @property
    def instance_type(self) -> str:
        return str(self.request["ResourceConfig"]["InstanceType"])

    # Operations

    def start(self) -> None:
        run = capacity.carried_on(self._run)
        threading.Thread(target=run, name=f"training job {self.name}", daemon=True).start()

    def stop(self) -> None:
        with self.course.lock:
            if self.course.status != "InProgress":
                raise ValidationError(
                    f"The request was rejected because the training job is in status {self.course.status}."
                )
            self.course.enter("Stopping")
            self._stop.set()

    def interrupt(self, wait: float) -> None:
        """Reclaim the spot instances. There are new ones after `wait` seconds."""
        with self.course.lock:
            if not self.spot:
                raise ValidationError(f"Training job {self.name} does not use managed spot training.")
            if self.course.secondary not in ("Downloading", "Training"):
                raise ValidationError(
                    f"Training job {self.name} has no spot instances while it is {self.course.secondary}."
                )
            self._capacity_wait = wait
            self._interruption.set()

    def abandon(self) -> None:
        """End everything at once: the cloud is being reset."""
        self._closing.set()
        end(list(self._containers), 0)

    # Life

    def _run(self) -> None:
        reason: str | None = None
        try:
            over = self._attached()
            stopped_late = over is _End.EXITED and self._stop.is_set()  # while it uploaded
            outcome = _OUTCOMES[_End.STOPPED if stopped_late else over]
        except (JobError, StorageError) as error:
            outcome, reason = "Failed", str(error)[:_REASON_CHARACTERS]
        except Exception as error:
            log.exception("training job %s", self.name)
            outcome, reason = "Failed", f"InternalServerError: The embedded cloud failed: {error!r}"
        finally:
            end(self._containers, 0)
            shutil.rmtree(self._folder, ignore_errors=True)
        self.course.end_attempt()
        self.course.enter(outcome, reason)
        log.info("training job %s is %s; failure: %s", self.name, outcome, reason)
        self.ended.set()

    def _attached(self) -> _End:
        image = self._image()
        try:
            made = interfaces.attach(self._actor, f"[Do not delete] ENI managed by SageMaker for {self.name}")
        except Denied as error:
            raise JobError(
                f"ClientError: Access denied when creating a network interface in your VPC: {error.message}"
            ) from error
        try:
            return self._attempts(image)
        finally:
            end(self._containers, 0)
            interfaces.detach(self._actor, made)

    def _attempts(self, image: Image) -> _End:
        while True:
            over = self._attempt(image)
            if over is not _End.INTERRUPTED:
                return over
            self.course.end_attempt()
            self.course.enter("Interrupted")
            waited = self._await_capacity()
            if waited is not None:
                return waited
            self._interruption.clear()
            self.course.enter("Starting")

    def _image(self) -> Image:
        uri = self.request["AlgorithmSpecification"]["TrainingImage"]
        image = self._host.image(uri)
        refused = self._actor.check_pull(uri) if image is not None else None
        if refused is not None:
            raise JobError(
                f"ClientError: Access denied for repository: {uri.partition('/')[2].partition(':')[0]} in registry ID: "
                f"{uri.partition('.')[0]} Please check if your role {self.request['RoleArn']} has proper pull "
                "permissions for SageMaker: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, "
                f"ecr:GetDownloadUrlForLayer. (AccessDenied: ecr:{refused})"
            )
        if image is None or not image.train:
            repository = uri.partition("/")[2].partition(":")[0].partition("@")[0] or uri
            known = ", ".join(self._host.config.repositories("train")) or "none"
            raise JobError(
                f"ClientError: Cannot find repository: {repository} in registry ID: {uri.partition('.')[0]} "
                f"Please check if your ECR repository exists and role {self.request['RoleArn']} has proper pull "
                "permissions for SageMaker: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, "
                "ecr:GetDownloadUrlForLayer. (The embedded cloud knows these repositories from its images file: "
                f"{known}.)"
            )
        return image

    def _await_capacity(self) -> _End | None:
        """None once there are spot instances again."""
        deadline = time.monotonic() + self._capacity_wait
        while time.monotonic() < deadline:
            over = self._limit()
            if over is not None:
                return over
            time.sleep(_POLL)
        return self._limit()

    def _attempt(self, image: Image) -> _End:
        """Run the job on fresh instances until they are done or taken away."""
        self.course.say("Preparing the instances for training")
        if capacity.is_withheld():
            raise JobError(capacity.INSUFFICIENT_FOR_JOB)
        self._attempt_number += 1
        self._log_time = max(int(time.time()), self._log_time + 1)  # each attempt has log streams of its own
        folder = self._folder / str(self._attempt_number)
        hosts = tuple(f"algo-{number}" for number in range(1, self.instance_count + 1))
        cluster = Cluster(
            self._host.config,
            image,
            self.arn,
            self._actor,
            self.request,
            hosts,
            _free_port(),
            self._log_time,
        )
        containers = [Container(cluster, host, folder / host) for host in hosts]
        for container in containers:
            container.prepare()
        self.course.begin_attempt()
        checkpoints = self._download(containers)
        if self._stop.is_set():
            return _End.STOPPED
        self.course.enter("Training")
        over, killed = _End.STOPPED, False
        try:
            self._containers = containers
            for container in containers:
                container.start(self.metrics)
            for one in checkpoints:
                one.follow()
            over = self._watch()
            failure = self._failure() if over is _End.EXITED else None
            killed = end(containers, 0 if self._closing.is_set() else self._settings.grace)
        finally:
            for one in checkpoints:
                # Reclaimed instances are gone with what they had no time to write.
                one.stop(last_round=not (over is _End.INTERRUPTED and killed))
        if self._closing.is_set():
            raise JobError("ClientError: The embedded cloud was reset")
        if over is _End.INTERRUPTED:
            shutil.rmtree(folder, ignore_errors=True)
            return over
        self.course.enter("Uploading")
        self._upload(containers, folder, model=failure is None)
        if failure is not None:
            raise JobError(failure)
        return over

    def _download(self, containers: list[Container]) -> list[Checkpoints]:
        self.course.enter("Downloading")
        for channel in self.request.get("InputDataConfig") or []:
            folders = [one.base / "input" / "data" / channel["ChannelName"] for one in containers]
            channels.bring(channel, self._actor, folders)
        config = self.request.get("CheckpointConfig")
        if config is None:
            return []
        below = config["LocalPath"].removeprefix("/opt/ml").strip("/")
        location = Location.of(config["S3Uri"], self._account_id, self._actor)
        checkpoints = [Checkpoints(one.base / below, location, one.folder) for one in containers]
        for one in checkpoints:
            one.restore()
        return checkpoints

    def _watch(self) -> _End:
        while True:
            codes = [container.poll() for container in self._containers]
            if any(codes) or None not in codes:
                return _End.EXITED
            over = self._limit()
            if over is not None:
                return over
            if self._interruption.is_set():
                return _End.INTERRUPTED
            time.sleep(_POLL)

    def _limit(self) -> _End | None:
        condition = self.request["StoppingCondition"]
        if self._stop.is_set() or self._closing.is_set():
            return _End.STOPPED
        if self.course.trained > condition["MaxRuntimeInSeconds"]:
            return _End.RUNTIME
        if self.spot and self.course.age > condition["MaxWaitTimeInSeconds"]:
            return _End.WAIT
        return None

    def _failure(self) -> str | None:
        """FailureReason by the first instance that failed."""
        for container in self._containers:
            code = container.poll()
            if code:
                said = f", exit code: {code}"
                return f"AlgorithmError: {container.failure()[: _REASON_CHARACTERS - 40]}{said}"
        return None

    def _upload(self, containers: list[Container], work: Path, *, model: bool) -> None:
        target = self._output
        compressed = self.request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
        data = [container.base / "output" / "data" for container in containers]
        if artifacts.files(data):
            artifacts.upload(data, target.below("output"), compressed=compressed, work=work)
        if model:
            models = [container.base / "model" for container in containers]
            artifacts.upload(models, target.below("model"), compressed=compressed, work=work)

    @property
    def _output(self) -> Location:
        path = self.request["OutputDataConfig"]["S3OutputPath"]
        return Location.of(path, self._account_id, self._actor).below(f"{self.name}/output")

    # Answers

    @property
    def response_object(self) -> dict[str, Any]:
        compressed = self.request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
        model = self._output.below("model")
        answer = {
            **self.request,
            **self.course.describe(),
            "TrainingJobArn": self.arn,
            "ModelArtifacts": {"S3ModelArtifacts": f"{model}{'.tar.gz' if compressed else '/'}"},
            "ProfilingStatus": "Disabled",
        }
        metrics = self.metrics.final()
        if metrics:
            answer["FinalMetricDataList"] = metrics
        if self.tuning_job_arn:
            answer["TuningJobArn"] = self.tuning_job_arn
        return answer

    @property
    def summary(self) -> dict[str, Any]:
        names = (
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
            "TrainingJobStatus",
            "SecondaryStatus",
        )
        described = self.course.describe()
        return {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            **{name: described[name] for name in names if name in described},
        }

    def gen_response_object(self) -> dict[str, Any]:
        """For moto's Search."""
        return self.response_object


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
