"""How one instance of a transform job is asked: its container's parameters, records, requests with retries."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import urllib3

from localcloud import logs
from localcloud.sagemaker.instance import Instance, InstanceSpec
from localcloud.sagemaker.transform.requests import MAX_PAYLOAD_MB, STRATEGIES

LOG_GROUP = "/aws/sagemaker/TransformJobs"
_DEFAULT_PAYLOAD_MB = 6
_MB = 2**20  # bytes
_TIMEOUT, _RETRIES = 600, 3  # s and number, where ModelClientConfig says nothing
_RETRY_PAUSE = 0.1  # s, doubled with each retry
_SHOWN_CHARACTERS = 1000  # of what a container says of its error


class AnswerError(Exception):
    """There is no answer for an object. The message is a line of the data log."""

    def __init__(self, message: str, *, client: bool) -> None:
        super().__init__(message)
        self.client = client  # the fault of what was sent, and not of the container


@dataclass(frozen=True)
class TransformSpec(InstanceSpec):
    """`endpoint_name` is the job's name."""

    log_time: int = 0  # epoch seconds

    @property
    def what(self) -> str:
        return f"transform job {self.endpoint_name}"

    @property
    def log_group(self) -> str:
        return LOG_GROUP

    def log_stream(self, instance_id: str) -> str:
        return f"{self.endpoint_name}/{instance_id}-{self.log_time}"

    def usage(self, instance_id: str) -> dict[str, dict[str, str]]:
        return {
            "/aws/sagemaker/TransformJobs": {"Host": f"{self.endpoint_name}/{instance_id}-{self.log_time}"}
        }


@dataclass(frozen=True)
class Parameters:
    """What the request leaves open is the container's to say at /execution-parameters."""

    concurrent: int
    payload_mb: int
    strategy: str  # MultiRecord or SingleRecord

    @classmethod
    def of(cls, request: dict[str, Any], said: bytes) -> Parameters:
        try:
            container = json.loads(said) if said else {}
            concurrent = int(container.get("MaxConcurrentTransforms", 1))
            payload = int(container.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MB))
            strategy = container.get("BatchStrategy", "MULTI_RECORD")
        except (ValueError, TypeError, AttributeError):
            concurrent, payload, strategy = 1, _DEFAULT_PAYLOAD_MB, "MULTI_RECORD"
        single = strategy == "SINGLE_RECORD"
        return cls(
            request.get("MaxConcurrentTransforms") or max(1, concurrent),
            # 0 is documented as no limit, for algorithms that take a stream
            MAX_PAYLOAD_MB
            if request.get("MaxPayloadInMB") == 0
            else request.get("MaxPayloadInMB") or payload,
            request.get("BatchStrategy") or ("SingleRecord" if single else "MultiRecord"),
        )

    def __str__(self) -> str:
        strategy = STRATEGIES[self.strategy]
        return f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.payload_mb}, BatchStrategy={strategy}"


class Asker:
    """Sends the objects of one instance. Used by several threads at once."""

    def __init__(self, instance: Instance, request: dict[str, Any], stop: threading.Event) -> None:
        self._instance = instance
        self._stop = stop
        self.parameters = Parameters.of(request, instance.execution_parameters())
        model = request.get("ModelClientConfig") or {}
        self._timeout = model.get("InvocationsTimeoutInSeconds", _TIMEOUT)
        self._attempts = 1 + model.get("InvocationsMaxRetries", _RETRIES)
        self._by_line = request["TransformInput"].get("SplitType") == "Line"
        self._end_of_record = b"\n" if request["TransformOutput"].get("AssembleWith") == "Line" else b""
        kinds = (
            ("Content-Type", request["TransformInput"].get("ContentType")),
            ("Accept", request["TransformOutput"].get("Accept")),
        )
        self._headers = {name: value for name, value in kinds if value}
        spec = instance.spec
        self._log = logs.Stream(
            spec.account_id,
            spec.region,
            spec.log_group,
            f"{spec.log_stream(instance.id)}/data-log",
            returns=False,
            actor=spec.actor,
            looks=True,
        )
        self.say(str(self.parameters))

    def say(self, text: str, about: str | None = None) -> None:
        """Lines of the data log."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        head = f"{now}:[sagemaker logs]: " + (f"{about}: " if about else "")
        self._log.write([head + line for line in text.splitlines()])

    def answer(self, body: bytes) -> bytes:
        """The container's answers to the records of an object, in their order, put together.

        Raises:
            AnswerError: there is none for at least one of them.
        """
        return b"".join(self._ask(batch) + self._end_of_record for batch in self._batches(body))

    def _batches(self, body: bytes) -> Iterator[bytes]:
        limit = self.parameters.payload_mb * _MB
        if not self._by_line:
            yield _checked(body, limit)
            return
        batch = b""
        for line in body.splitlines(keepends=True):
            _checked(line, limit)
            if batch and (self.parameters.strategy == "SingleRecord" or len(batch) + len(line) > limit):
                yield batch
                batch = b""
            batch += line
        if batch:
            yield batch

    def _ask(self, body: bytes) -> bytes:
        error = AnswerError("Unable to get response from algorithm", client=False)
        for attempt in range(self._attempts):
            if (attempt and self._stop.wait(_RETRY_PAUSE * 2**attempt)) or not self._instance.alive:
                break
            try:
                response = self._instance.invoke(body, self._headers, self._timeout)
            except urllib3.exceptions.HTTPError:
                continue
            if 200 <= response.status < 300:
                return response.data
            words = response.data.decode(errors="replace")[:_SHOWN_CHARACTERS]
            if 400 <= response.status < 500:  # it will not be better the next time
                raise AnswerError(f"ClientError: {response.status}\n\nMessage:\n{words}", client=True)
            error = AnswerError(
                f"Bad HTTP status received from algorithm: {response.status}\n\nMessage:\n{words}",
                client=False,
            )
        raise error


def _checked(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise AnswerError("Too much data for max payload size", client=True)
    return body
