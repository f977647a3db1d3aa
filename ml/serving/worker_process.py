"""A worker as its supervisor sees it."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from .place import Place, Reason

LAST_WORDS_SECONDS: Final = 2.0  # between SIGABRT, which makes a worker tell where it is, and SIGKILL


class WorkerProcess:
    """Times are of time.monotonic()."""

    def __init__(self, place: Place, environment: Mapping[str, str]) -> None:
        self.place = place
        self.start_at = 0.0
        self.failures = 0  # in a row
        self.channel: socket.socket | None = None
        self.ready = False
        self.aborted = False
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0  # when it became ready
        self._heard = 0.0
        self._kill_at = math.inf

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def due(self) -> float:
        """When the supervisor has to look again."""
        return self._kill_at if self.running else self.start_at

    def start(self) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        place = replace(self.place, channel=theirs.fileno())
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.worker", place.text()],
                env=self._environment,
                pass_fds=(place.listener, place.channel),
            )
        self.ready = self.aborted = False
        self._kill_at = math.inf

    def look(self) -> int | None:
        """The exit code of a worker that has ended, negative for a signal."""
        if self._process is None or self.channel is None:
            return None
        with contextlib.suppress(OSError):  # nothing to read, or nobody there
            if self.channel.recv(4096):
                self._heard = time.monotonic()
                self._since = self._since if self.ready else self._heard
                self.ready = True
        if time.monotonic() >= self._kill_at:
            self._process.kill()
        code = self._process.poll()
        if code is not None:
            self.channel.close()
            self.channel = None
        return code

    def silent_seconds(self) -> float:
        if not self.ready or self.aborted:
            return 0.0
        return time.monotonic() - self._heard

    def served_seconds(self) -> float:
        return time.monotonic() - self._since if self.ready else 0.0

    def abort(self) -> None:
        self.aborted = True
        self.send(signal.SIGABRT)
        self._kill_at = time.monotonic() + LAST_WORDS_SECONDS

    def replace(self, reason: Reason, start_at: float) -> None:
        self.place = replace(self.place, replaces=reason)
        self.failures += 1
        self.start_at = start_at
        self._process = None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, deadline: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self.channel is not None:
            self.channel.close()
