"""The process that a container starts: it owns the listening socket, and runs workers that serve from it.

It loads no library that could take it down. A worker that ends, or gives no sign of life, is replaced; connections
wait in the socket meanwhile. It listens once the first worker has loaded the model: before, connections are refused.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from . import logs
from .errors import ModelError
from .place import GRACE_SECONDS, Place, Reason
from .processors import cpu_count, shares
from .settings import Settings, SettingsError
from .worker_process import WorkerProcess

BACKOFF: Final = (0.5, 30.0)  # seconds before the second replacement in a row, and the most
STEADY_SECONDS: Final = 60.0  # a worker that served so long was no failure
ATTEMPTS: Final = 3  # to load the model for the first time
PROCESSORS_A_WORKER: Final = 8


class Supervisor:
    def __init__(self, settings: Settings, listener: socket.socket, metrics: Path) -> None:
        self._settings = settings
        self._listener = listener
        count = settings.workers or -(-cpu_count() // PROCESSORS_A_WORKER)
        self._workers = [
            WorkerProcess(
                Place(number, os.getpid(), listener.fileno(), processors),
                {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics)},
            )
            for number, processors in enumerate(shares(count))
        ]
        self._stopping = False
        self._served = False  # a worker was ready once

    def run(self) -> int:
        """Until SIGTERM or SIGINT; raises ModelError, or SystemExit where a worker has told what is wrong."""
        with self._signals() as alarm:
            try:
                while not self._stopping:
                    self._start_due()
                    self._wait(alarm)
                    for worker in self._workers:
                        self._look_after(worker)
            except BaseException:
                for worker in self._workers:
                    worker.send(signal.SIGKILL)
                raise
            finally:
                self._end()
        return 0

    def _start_due(self) -> None:
        for worker in self._workers:
            if not worker.running and time.monotonic() >= worker.start_at:
                worker.start()

    def _wait(self, alarm: socket.socket) -> None:
        """Until a signal, a word from a worker, its end, or something is due."""
        with selectors.DefaultSelector() as selector:
            selector.register(alarm, selectors.EVENT_READ)
            for worker in self._workers:
                if worker.channel is not None:
                    selector.register(worker.channel, selectors.EVENT_READ)
            due = min(worker.due for worker in self._workers)
            selector.select(max(0.0, min(1.0, due - time.monotonic())))

    def _look_after(self, worker: WorkerProcess) -> None:
        code = worker.look()
        self._served = self._served or worker.ready
        if code is not None:
            self._ended(worker, code)
        elif worker.silent_seconds() > self._settings.hang_seconds:
            logs.event("worker hangs", worker=worker.place.number, pid=worker.pid)
            worker.abort()

    def _ended(self, worker: WorkerProcess, code: int) -> None:
        reason: Reason = "hung" if worker.aborted else "died"
        logs.event(f"worker {reason}", worker=worker.place.number, pid=worker.pid, exit_code=code)
        if self._stopping:
            return
        if not self._served:
            if code > 0:
                sys.exit(code)
            if worker.failures + 1 >= ATTEMPTS:
                raise ModelError(
                    "A worker loads the model.",
                    f"it was ended by signal {-code} while it did, {ATTEMPTS} times",
                    "Choose an instance with more memory, or a smaller model.",
                )
        if worker.served_seconds() > STEADY_SECONDS:
            worker.failures = 0
        first, longest = BACKOFF
        pause = min(longest, first * 2 ** (worker.failures - 1)) if worker.failures else 0.0
        worker.replace(reason, time.monotonic() + pause)

    def _end(self) -> None:
        """Nobody is accepted any more; who was, is answered."""
        self._listener.close()
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS + 2
        for worker in self._workers:
            worker.wait(deadline)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        def stop(*_: object) -> None:
            self._stopping = True

        near, far = socket.socketpair()
        far.setblocking(False)
        with near, far:
            before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
            signal.set_wakeup_fd(far.fileno())
            try:
                yield near
            finally:
                signal.set_wakeup_fd(-1)
                for number, handler in before.items():
                    signal.signal(number, handler)


def main() -> int:
    """0 after a signal, 1 when the model cannot be served, 2 when a setting is wrong."""
    logs.configure()
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        listener = _bind(settings.host, settings.port)
    except OSError as error:
        print(
            f"KENNEL_HOST and SAGEMAKER_BIND_TO_PORT name an address that is free: {settings.host}, port "
            f"{settings.port}: {error.strerror}.",
            file=sys.stderr,
        )
        return 2
    logs.event("listening", host=settings.host, port=listener.getsockname()[1])
    metrics = Path(tempfile.mkdtemp(prefix="kennel-metrics-"))
    try:
        return Supervisor(settings, listener, metrics).run()
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
