"""A container's output on its way to CloudWatch Logs."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import IO

from moto.logs.exceptions import ResourceAlreadyExistsException, ResourceNotFoundException
from moto.logs.models import LogEvent, logs_backends

MAX_EVENTS = 10_000  # kept a stream; moto would keep all of them in memory
_MAX_LINE = 262_144  # bytes; CloudWatch's limit for an event, 256 KiB
_PUT_LOCK = threading.Lock()  # moto's backend is not made for several writers


def follow(output: IO[bytes], account_id: str, region: str, group: str, stream: str) -> threading.Thread:
    """Copy lines into a log stream from a thread of its own, until the output ends."""
    backend = logs_backends[account_id][region]
    with _PUT_LOCK:
        with contextlib.suppress(ResourceAlreadyExistsException):  # Terraform may own it
            backend.create_log_group(group, {})
        backend.create_log_stream(group, stream)

    def copy() -> None:
        with output:
            while line := output.readline(_MAX_LINE):
                message = line.decode(errors="replace").rstrip("\r\n")
                if not message:
                    continue  # CloudWatch takes no empty events
                event = {"timestamp": int(time.time() * 1000), "message": message}
                try:
                    with _PUT_LOCK:
                        backend.put_log_events(group, stream, [event])
                        _trim(backend.groups[group].streams[stream].events)
                except (ResourceNotFoundException, KeyError):
                    pass  # the group was deleted under a living endpoint: its output goes nowhere

    thread = threading.Thread(target=copy, name=f"logs {stream}", daemon=True)
    thread.start()
    return thread


def _trim(events: list[LogEvent]) -> None:
    tracked: list[LogEvent] = vars(LogEvent)["instances_tracked"]
    tracked.clear()  # all events ever, for moto's dashboard
    if len(events) > MAX_EVENTS:
        del events[: MAX_EVENTS // 10]
