"""A sandbox's log stream in CloudWatch Logs, and the lines that the platform itself writes there."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from localcloud.functions.deployment import Deployment
from localcloud.logs import EVENT_BYTES, Stream

TAIL_BYTES = 4096


class LogStream:
    """Events go to moto at once; what the last invocation said is kept for `LogType=Tail`."""

    def __init__(self, deployment: Deployment) -> None:
        self.group = deployment.logging["LogGroup"]
        self.name = f"{datetime.now(UTC):%Y/%m/%d}/[{deployment.version}]{uuid.uuid4().hex}"
        self.structured = deployment.logging["LogFormat"] == "JSON"
        self._stream = Stream(
            deployment.account_id,
            deployment.region,
            self.group,
            self.name,
            returns=True,
            actor=deployment.actor,
        )
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
        if len(self._partial) > EVENT_BYTES:
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
        messages = [line[:EVENT_BYTES] + "\n" for line in lines]
        for message in messages:
            self._tail += message.encode()
        del self._tail[:-TAIL_BYTES]
        self._stream.write(messages)


def timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
