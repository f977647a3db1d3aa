"""A sandbox's log stream in CloudWatch Logs, and the lines that the platform itself writes there."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import Any

from moto.logs.models import logs_backends

from localcloud.functions.deployment import Deployment

log = logging.getLogger(__name__)

TAIL_BYTES = 4096
_EVENT_BYTES = 262_118  # AWS's limit less its 26 bytes of overhead
_STREAM_BYTES = 4 * 1024 * 1024  # moto keeps events in memory, so the oldest go first
_STREAMS = 200  # a group


class LogStream:
    """Events go to moto at once; what the last invocation said is kept for `LogType=Tail`."""

    def __init__(self, deployment: Deployment) -> None:
        self._backend = logs_backends[deployment.account_id][deployment.region]
        self.group = deployment.logging["LogGroup"]
        self.name = f"{datetime.now(UTC):%Y/%m/%d}/[{deployment.version}]{uuid.uuid4().hex}"
        self.structured = deployment.logging["LogFormat"] == "JSON"
        self._sizes: deque[int] = deque()
        self._stored = 0  # bytes
        self._tail = bytearray()
        self._partial = b""

    def begin_tail(self) -> None:
        self._tail.clear()

    @property
    def tail(self) -> bytes:
        return bytes(self._tail[-TAIL_BYTES:])

    def feed(self, chunk: bytes) -> None:
        """Output of the process, in pieces that need not end with a line."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        if len(self._partial) > _EVENT_BYTES:
            lines.append(self._partial)
            self._partial = b""
        self._write([line.decode(errors="replace") for line in lines if line])

    def flush(self) -> None:
        if self._partial:
            self.feed(b"\n")

    def line(self, text: str) -> None:
        self._write([text])

    def platform(self, kind: str, text: str, record: dict[str, Any]) -> None:
        """A line of the platform's own: `text`, or for a function that logs JSON an event of this `kind`."""
        if not self.structured:
            self._write([text])
        else:
            self._write([json.dumps({"time": timestamp(), "type": f"platform.{kind}", "record": record})])

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        messages = [line[:_EVENT_BYTES] + "\n" for line in lines]
        for message in messages:
            self._tail += message.encode()
        del self._tail[:-TAIL_BYTES]
        now = int(time.time() * 1000)
        try:
            self._ensure_stream()
            events = [{"timestamp": now, "message": message} for message in messages]
            self._backend.put_log_events(self.group, self.name, events)
            self._trim([len(message) for message in messages])
        except Exception:  # a lost log line must not fail the invocation, as it does not on AWS
            log.exception("could not write to log group %s", self.group)

    def _ensure_stream(self) -> None:
        self._backend.ensure_log_group(self.group)
        streams = self._backend.groups[self.group].streams
        if self.name not in streams:
            while len(streams) >= _STREAMS:
                streams.pop(next(iter(streams)))
            self._backend.create_log_stream(self.group, self.name)

    def _trim(self, sizes: list[int]) -> None:
        self._sizes.extend(sizes)
        self._stored += sum(sizes)
        surplus = 0
        while self._stored > _STREAM_BYTES and len(self._sizes) > 1:
            self._stored -= self._sizes.popleft()
            surplus += 1
        if surplus:
            del self._backend.groups[self.group].streams[self.name].events[:surplus]


def timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
