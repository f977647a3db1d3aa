"""What the page asks: the stage's cloud, through AWS's own APIs, each answer shared by all who look."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops import state_bucket
from ops.live import is_gone
from ops.stage import Stage

OUTPUTS_SECONDS = 20.0  # so long a page may show an apply's result late


class Cloud(Protocol):
    """What the panels need of a stage."""

    @property
    def name(self) -> str: ...

    @property
    def prefix(self) -> str: ...

    def client(self, service: str) -> Any: ...

    @property
    def outputs(self) -> dict[str, Any]: ...


class Remembered:
    """Values by key, each made by one thread at a time and kept for its time.

    Several tabs, or one that is reloaded, cost what one costs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def get(self, key: str, seconds: float, make: Callable[[], Any]) -> Any:
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
        with kept.lock:
            if kept.until <= self._clock():
                kept.value = make()
                kept.until = self._clock() + seconds
            return kept.value

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = float("-inf")
    value: Any = None


class StageCloud:
    """A stage's clients, kept; a cloud that was stopped and started again is found again."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._identity: str | None = None
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._remembered = Remembered()

    @property
    def name(self) -> str:
        return self._stage.name

    @cached_property
    def prefix(self) -> str:
        return state_bucket.prefix(self._stage)

    def client(self, service: str) -> Any:
        """Return the client for the service.

        Raises:
            KennelError: the embedded cloud is not running, or there are no credentials.
        """
        with self._lock:
            identity = self._stage.identity if self._stage.name == "local" else "AWS"
            if identity != self._identity:
                if self._identity is not None:
                    self._stage = Stage(
                        self._stage.name, self._stage.settings
                    )  # it remembers its environment
                self._clients.clear()
                self._remembered.forget()
                self._identity = identity
            if service not in self._clients:
                self._clients[service] = self._stage.client(service)
            return self._clients[service]

    @property
    def outputs(self) -> dict[str, Any]:
        """What the last apply left; empty when nothing is deployed.

        Read out of the state itself: a terraform program here could get in the way of one that applies.
        """
        s3 = self.client("s3")
        return dict(self._remembered.get("outputs", OUTPUTS_SECONDS, lambda: self._read(s3)))

    def _read(self, s3: Any) -> dict[str, Any]:
        try:
            found = s3.get_object(Bucket=state_bucket.name(self._stage), Key=state_bucket.KEY)
        except ClientError as error:
            if is_gone(error) or error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return {}
            raise
        outputs = json.loads(found["Body"].read()).get("outputs") or {}
        return {name: output["value"] for name, output in outputs.items() if not output.get("sensitive")}


def explained(error: Exception) -> dict[str, str]:
    """Return what went wrong as the page tells it: rule, received, remedy, and whether waiting helps."""
    if isinstance(error, KennelError):
        return _told(str(error.rule), error.received, error.remedy)
    if isinstance(error, ClientError):
        code, message = error.response["Error"].get("Code", "?"), error.response["Error"].get("Message", "")
        if code in {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}:
            return _told(
                "AWS is throttling this account's requests.", code, "The page tries again by itself."
            )
        if "AccessDenied" in code or "UnauthorizedOperation" in code:
            return _told(
                f"Your credentials may not call {error.operation_name}.", message, "Ask for that right."
            )
        return _told(
            f"{error.operation_name} failed.", f"{code}: {message}", "The page tries again by itself."
        )
    if isinstance(error, BotoCoreError):
        return _told("The cloud cannot be reached.", error, "The page tries again by itself.")
    raise error


def _told(rule: str, received: object, remedy: str | None) -> dict[str, str]:
    return {
        "rule": rule,
        "received": "" if received is None else str(received)[:600],
        "remedy": remedy or "",
    }
