"""A transform job's life: InProgress, Stopping, and Completed, Failed or Stopped."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.utils import arn_formatter

from localcloud.sagemaker import capacity
from localcloud.sagemaker.instance import Host, Instance, PingError, StartError
from localcloud.sagemaker.jobs.storage import StorageError
from localcloud.sagemaker.transform.asking import AnswerError, Asker, TransformSpec
from localcloud.sagemaker.transform.objects import Item, Store

log = logging.getLogger(__name__)

_POLL = 0.05  # s
_REASON_CHARACTERS = 1024  # of a FailureReason; AWS's limit
_NO_PING = (
    "AlgorithmError: Model container failed to respond to ping. Please ensure /ping endpoint is implemented and "
    "responds with an HTTP 200 status code"
)


class JobError(Exception):
    """The job fails. The message is a FailureReason as AWS words it."""


class TransformJob:
    def __init__(self, request: dict[str, Any], spec: TransformSpec, host: Host, store: Store) -> None:
        """`request`: valid, with AWS's defaults in it."""
        self.name = str(request["TransformJobName"])
        self.arn = str(arn_formatter("transform-job", self.name, spec.account_id, spec.region))
        self.tags: list[dict[str, str]] = list(request.get("Tags") or [])
        self.request = {name: value for name, value in request.items() if name != "Tags"}
        self.status = "InProgress"
        self._spec, self._host, self._store = spec, host, store
        self._reason: str | None = None
        self._created = self._modified = utcnow()
        self._began: datetime | None = None
        self._ended: datetime | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._problems: list[str] = []  # FailureReasons of objects without an answer
        self._instances: list[Instance] = []

    @property
    def over(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped")

    @property
    def running(self) -> list[Instance]:
        return [] if self.over else [one for one in self._instances if one.alive]

    @property
    def instance_count(self) -> int:
        return int(self.request["TransformResources"]["InstanceCount"])

    @property
    def instance_type(self) -> str:
        return str(self.request["TransformResources"]["InstanceType"])

    # Operations

    def start(self) -> None:
        run = capacity.carried_on(self._run)
        threading.Thread(target=run, name=f"transform job {self.name}", daemon=True).start()

    def stop(self) -> None:
        with self._lock:
            if self.status != "InProgress":
                raise ValidationError(
                    f"The request was rejected because the transform job is in status {self.status}."
                )
            self._enter("Stopping")
            self._stop.set()

    def abandon(self) -> None:
        """End everything at once: the cloud is being reset."""
        self._stop.set()
        for instance in list(self._instances):
            instance.stop()

    # Life

    def _run(self) -> None:
        reason: str | None = None
        try:
            self._transform()
        except (JobError, StorageError) as error:
            reason = str(error)
        except Exception as error:
            log.exception("transform job %s", self.name)
            reason = f"InternalServerError: The embedded cloud failed: {error!r}"
        finally:
            for instance in self._instances:
                instance.stop()
            shutil.rmtree(self._host.folder / self._spec.endpoint_name, ignore_errors=True)
        with self._lock:
            self._reason = None if self._stop.is_set() or reason is None else reason[:_REASON_CHARACTERS]
            self._enter("Stopped" if self._stop.is_set() else "Failed" if reason else "Completed")
            self._ended = self._modified
        log.info("transform job %s is %s; failure: %s", self.name, self.status, self._reason)

    def _enter(self, status: str) -> None:
        self.status = status
        self._modified = utcnow()

    def _transform(self) -> None:
        if capacity.is_withheld():
            raise JobError(capacity.INSUFFICIENT_FOR_JOB)
        items = self._store.items(self.request)
        self._began = utcnow()
        self._instances = [Instance(self._spec, self._host) for _ in range(self.instance_count)]
        with ThreadPoolExecutor(len(self._instances), thread_name_prefix="transform") as pool:
            # An object goes to one instance, whatever it holds.
            shares = [items[number :: len(self._instances)] for number in range(len(self._instances))]
            work = [pool.submit(self._serve, *pair) for pair in zip(self._instances, shares, strict=True)]
            while wait(work, _POLL).not_done:
                if self._stop.is_set() or any(one.done() and one.exception() for one in work):
                    for instance in self._instances:  # lets a start fail, and ends what is under way
                        instance.stop()
            if not self._stop.is_set():
                for one in work:
                    one.result()
        if self._problems:
            raise JobError(self._problems[0])

    def _serve(self, instance: Instance, items: Sequence[Item]) -> None:
        """One instance from its start to its last object."""
        try:
            instance.start()
        except PingError as error:
            raise JobError(_NO_PING) from error
        except StartError as error:
            raise JobError(f"ClientError: {error}") from error
        asker = Asker(instance, self.request, self._stop)
        with ThreadPoolExecutor(asker.parameters.concurrent, thread_name_prefix="transform") as pool:
            for done in [pool.submit(self._one, asker, item) for item in items]:
                done.result()

    def _one(self, asker: Asker, item: Item) -> None:
        """One object. Others go on where there is no answer for it, and the job fails in the end."""
        if self._stop.is_set():
            return
        try:
            self._store.write(item, asker.answer(item.read()))
        except AnswerError as error:
            if not self._stop.is_set():
                asker.say(str(error), str(item))
                kind = "ClientError" if error.client else "AlgorithmError"
                self._problems.append(f"{kind}: See job logs for more information")
        except StorageError as error:
            asker.say(str(error), str(item))
            self._problems.append(str(error))

    # Answers

    @property
    def response_object(self) -> dict[str, Any]:
        times = {"TransformStartTime": self._began, "TransformEndTime": self._ended}
        with self._lock:
            return {
                **self.request,
                "TransformJobArn": self.arn,
                "TransformJobStatus": self.status,
                "CreationTime": self._created,
                **{name: value for name, value in times.items() if value is not None},
                **({"FailureReason": self._reason} if self._reason else {}),
            }

    @property
    def summary(self) -> dict[str, Any]:
        described = self.response_object
        names = ("CreationTime", "TransformEndTime", "TransformJobStatus", "FailureReason")
        return {
            "TransformJobName": self.name,
            "TransformJobArn": self.arn,
            "LastModifiedTime": self._modified,
            **{name: described[name] for name in names if name in described},
        }

    def gen_response_object(self) -> dict[str, Any]:
        """For moto's Search."""
        return self.response_object
