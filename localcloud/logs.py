"""Streams in CloudWatch Logs that the cloud itself writes. moto keeps events in memory, so the oldest go first."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

from moto.logs.models import LogEvent, LogGroup, logs_backends
from moto.logs.models import LogStream as MotoStream

from localcloud import gaps
from localcloud.actors import Actor

log = logging.getLogger(__name__)

EVENT_BYTES = 262_118  # AWS's limit less its 26 bytes of overhead
_STREAM_BYTES = 4 * 1024 * 1024
_EVENT_OVERHEAD = 256  # bytes an event, about what its object takes
_STREAMS = 200  # a group
_ASKED_EVERY = 1.0  # s for which an answer of IAM's holds
_LOCK = threading.Lock()  # moto's backend is not made for several writers

gaps.forget_instances(LogEvent, LogGroup, MotoStream)


class Stream:
    def __init__(
        self,
        account_id: str,
        region: str,
        group: str,
        name: str,
        *,
        returns: bool,
        actor: Actor | None = None,
        looks: bool = False,
    ) -> None:
        """`returns`: after somebody deleted it, it is made again for the next line.

        `actor`: in whose name; where it may not write, nothing is written. `looks`: whether the service looks for the
        stream before it makes it.
        """
        self.group, self.name = group, name
        self._actor, self._looks = actor, looks
        self._arn = f"arn:aws:logs:{region}:{account_id}:log-group:{group}:log-stream:"
        self._asked = 0.0  # monotonic time
        self._may_write = actor is None
        self._backend = logs_backends[account_id][region]
        self._returns = returns
        self._opened = False
        self._sizes: deque[int] = deque()
        self._stored = 0  # bytes

    def open(self) -> None:
        """Make it, and its group unless that is there."""
        with _LOCK:
            if self._may_open():
                self._open()

    def write(self, messages: list[str]) -> bool:
        """One event each; whether they are there. A line that is lost fails nothing, as on AWS."""
        now = int(time.time() * 1000)
        try:
            with _LOCK:
                if not self._exists:
                    if (self._opened and not self._returns) or not self._may_open():
                        return False
                    self._open()
                if not self._may_put():
                    return False
                events = [{"timestamp": now, "message": message} for message in messages]
                self._backend.put_log_events(self.group, self.name, events)
                self._trim([len(message) + _EVENT_OVERHEAD for message in messages])
        except Exception:
            log.exception("could not write to log group %s", self.group)
            return False
        return True

    def _may_open(self) -> bool:
        actor = self._actor
        if actor is None:
            return True
        return (
            (self.group in self._backend.groups or actor.may("logs:CreateLogGroup", self._arn))
            and (not self._looks or actor.may("logs:DescribeLogStreams", self._arn))
            and actor.may("logs:CreateLogStream", self._arn + self.name)
        )

    def _may_put(self) -> bool:
        now = time.monotonic()
        if self._actor is not None and now - self._asked > _ASKED_EVERY:
            self._asked = now
            self._may_write = self._actor.may("logs:PutLogEvents", self._arn + self.name)
        return self._may_write

    @property
    def _exists(self) -> bool:
        group = self._backend.groups.get(self.group)
        return group is not None and self.name in group.streams

    def _open(self) -> None:
        self._backend.ensure_log_group(self.group)
        streams = self._backend.groups[self.group].streams
        while len(streams) >= _STREAMS:
            streams.pop(next(iter(streams)))
        self._backend.create_log_stream(self.group, self.name)
        self._opened = True
        self._sizes.clear()
        self._stored = 0

    def _trim(self, sizes: list[int]) -> None:
        self._sizes.extend(sizes)
        self._stored += sum(sizes)
        surplus = 0
        while self._stored > _STREAM_BYTES and len(self._sizes) > 1:
            self._stored -= self._sizes.popleft()
            surplus += 1
        if surplus:
            del self._backend.groups[self.group].streams[self.name].events[:surplus]


def follow(output: IO[bytes], stream: Stream, also: Callable[[str], None] | None = None) -> threading.Thread:
    """Copy lines into a log stream from a thread of its own, until the output ends. `also` sees each of them."""
    stream.open()

    def copy() -> None:
        with output:
            while line := output.readline(EVENT_BYTES):
                message = line.decode(errors="replace").rstrip("\r\n")
                if message:  # CloudWatch takes no empty events
                    stream.write([message])
                    if also is not None:
                        also(message)

    thread = threading.Thread(target=copy, name=f"logs {stream.name}", daemon=True)
    thread.start()
    return thread
