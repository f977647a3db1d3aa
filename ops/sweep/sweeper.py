"""Lists and removes what belongs to one stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from ml.errors import KennelError
from ops.live import is_gone
from ops.stage import Stage
from ops.sweep.kinds import AGAIN, KINDS
from ops.sweep.listing import TAG

SECONDS = 600  # in which what yields by itself has to go
PATIENCE = 60  # seconds without any progress, of what failed for a passing reason
PASSING = {  # error codes of refusals that may be none the next time
    "ConflictException", "DependencyViolation", "InternalError", "InternalFailure", "InternalServerError",
    "RequestLimitExceeded", "ResourceConflictException", "ResourceInUse", "ServiceUnavailable", "SlowDown",
    "Throttling", "ThrottlingException", "TooManyRequestsException",
}  # fmt: skip
DENIED = {
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403", "Forbidden",
}  # fmt: skip
_AT_ONCE = 8  # listings


@dataclass(frozen=True)
class Found:
    """Something of ours that exists."""

    kind: str
    identifier: str
    resisted: str = field(default="", compare=False)  # why it could not be removed

    def __str__(self) -> str:
        return f"{self.kind} {self.identifier}"

    @property
    def remedy(self) -> str:
        """Return what to do about it where it is left."""
        return AGAIN if is_denied(self.resisted) else KINDS[self.kind].remedy


@dataclass(frozen=True)
class Survey:
    """What was found, and where nobody could look: the reason by kind."""

    found: list[Found]
    unseen: dict[str, str]

    @property
    def proves(self) -> bool:
        """Whether what was not found is not there."""
        return not any(KINDS[kind].needed for kind in self.unseen)


class Sweeper:
    """Lists and removes what belongs to one stage of one prefix, e.g. `kennel-local`."""

    def __init__(self, stage: Stage, prefix: str) -> None:
        self.stage = stage
        self.prefix = prefix
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # boto3 makes clients in one thread at a time

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.stage.client(service)
            return self._clients[service]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        """Yield the entries of all pages of a listing."""
        client = self.client(service)
        if client.can_paginate(operation):
            for page in client.get_paginator(operation).paginate(**arguments):
                yield from page.get(key, [])
        else:
            yield from getattr(client, operation)(**arguments).get(key, [])

    @property
    def tagged(self) -> list[dict[str, Any]]:
        return [{"Name": f"tag:{TAG}", "Values": [self.prefix]}]

    @property
    def artifact_bucket(self) -> str:
        """The one bucket that may be emptied and removed, by its exact name: modules/storage makes it."""
        return f"{self.prefix}-artifacts-{self.stage.account_id}"

    def is_ours(self, name: str) -> bool:
        return name == self.prefix or name.startswith(f"{self.prefix}-")

    def survey(self, kinds: Iterable[str] | None = None) -> Survey:
        """Look for all that is ours, in the order in which it can be removed."""
        chosen = list(KINDS if kinds is None else kinds)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            looks = list(pool.map(self._look, chosen))
        found = [Found(kind, name) for kind, (names, _) in zip(chosen, looks, strict=True) for name in names]
        unseen = {kind: reason for kind, (_, reason) in zip(chosen, looks, strict=True) if reason}
        return Survey(found, unseen)

    def _look(self, kind: str) -> tuple[list[str], str]:
        try:
            return list(KINDS[kind].listing(self)), ""
        except (BotoCoreError, ClientError) as error:
            return [], reason(error)

    def find(self) -> list[Found]:
        """Return all that is ours, in the order in which it can be removed.

        Raises:
            KennelError: the credentials may not list something.
        """
        survey = self.survey()
        if not survey.proves:
            raise KennelError(
                "A sweep lists everything that could be left.",
                "; ".join(f"{kind}: {why}" for kind, why in survey.unseen.items() if KINDS[kind].needed),
                "Use credentials that may list it, then run the same command again.",
            )
        return survey.found

    def remove(self, found: list[Found]) -> list[Found]:
        """Remove what was found; return what resisted until the deadline, with the reason."""
        began = progress = time.monotonic()
        left = found
        while left:
            resisting = [tried for tried in (self._tried(entry) for entry in left) if tried is not None]
            now = time.monotonic()
            if len(resisting) < len(left):
                progress = now
            yielding = any(KINDS[entry.kind].yields and not is_denied(entry.resisted) for entry in resisting)
            passing = any(entry.resisted.split(":")[0] in PASSING for entry in resisting)
            waits = (yielding and now - began < SECONDS) or (passing and now - progress < PATIENCE)
            if len(resisting) == len(left) and not waits:
                return resisting
            left = resisting
            if left:
                time.sleep(1)
        return []

    def _tried(self, entry: Found) -> Found | None:
        """Remove it; return it where it resists."""
        try:
            KINDS[entry.kind].removal(self, entry.identifier)
        except ClientError as error:
            return None if is_gone(error) else replace(entry, resisted=reason(error))
        except (BotoCoreError, KennelError, TimeoutError, WaiterError) as error:
            return replace(entry, resisted=reason(error))
        return None


def reason(error: Exception) -> str:
    """Return an error in a line: the cloud's code and words."""
    if isinstance(error, ClientError):
        told = error.response["Error"]
        return f"{told['Code']}: {told.get('Message', '')}"
    return " ".join(str(error).split())


def is_denied(text: str) -> bool:
    """Whether a reason is that the caller may not."""
    return text.split(":")[0] in DENIED
