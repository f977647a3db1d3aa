"""What a job's instances write, from CloudWatch Logs: each line once, in the order of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

_HOST = re.compile(r".*/(algo-[0-9]+)")


@dataclass(frozen=True, order=True)
class Line:
    time: int  # milliseconds since the epoch
    host: str
    text: str


class Logs:
    """The streams of one job; an interrupted job writes further ones when it goes on."""

    def __init__(self, client: Any, group: str, job: str) -> None:
        self._client = client
        self._group = group
        self._prefix = f"{job}/"
        self._tokens: dict[str, str | None] = {}

    def fresh(self) -> list[Line]:
        """Return the lines that have come since the last call, of all hosts."""
        try:
            self._find_streams()
            # Python's sort is stable: of the same millisecond, a host's lines stay in their order.
            return sorted((line for name in self._tokens for line in self._read(name)), key=lambda x: x.time)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []  # nothing has been written yet
            raise

    @property
    def hosts(self) -> set[str]:
        return {_host(name) for name in self._tokens}

    def _find_streams(self) -> None:
        pages = self._client.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group, logStreamNamePrefix=self._prefix
        )
        for page in pages:
            for stream in page["logStreams"]:
                self._tokens.setdefault(stream["logStreamName"], None)

    def _read(self, name: str) -> list[Line]:
        lines = []
        while True:
            token = self._tokens[name]
            given = {"nextToken": token} if token else {}
            page = self._client.get_log_events(
                logGroupName=self._group, logStreamName=name, startFromHead=True, **given
            )
            lines += [Line(event["timestamp"], _host(name), event["message"]) for event in page["events"]]
            self._tokens[name] = page["nextForwardToken"]
            if not page["events"] or page["nextForwardToken"] == token:
                return lines


def _host(stream: str) -> str:
    match = _HOST.match(stream)
    return match[1] if match else stream
