"""Runs the program that sends, and takes what it tells, also when it is interrupted."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from ml.errors import KennelError
from ops.load.options import DRAIN, IN_FLIGHT, TIMEOUT, Demand
from ops.load.payloads import Body
from ops.load.target import Target
from ops.paths import ROOT

START = 60.0  # seconds at most, until the program has imported what it needs
GRACE = 15.0  # seconds beyond its own limits, after which it is killed


class Sample(NamedTuple):
    """A request: seconds from the load's start, and what was wrong with the answer."""

    intended: float
    woke: float  # later than intended: the client was late
    sent: float  # later than woke: too many were in flight
    done: float
    fault: str  # empty for a good answer


@dataclass
class Measured:
    """What a load came to."""

    began: float = 0.0  # seconds since the epoch
    seconds: float = 0.0  # in which requests were begun
    unsent: int = 0  # due, and never sent
    given_up: str = ""
    interrupted: bool = False
    cpu_seconds: float = 0.0  # of the sending program
    memory_bytes: int = 0
    samples: list[Sample] = field(default_factory=list)


def run(
    target: Target,
    demand: Demand,
    bodies: Sequence[Body],
    environment: Mapping[str, str],
    on_sample: Callable[[Sample], None] = lambda _: None,
) -> Measured:
    """Make the load. Ctrl-C ends it early, and what was measured until then is returned.

    Raises:
        KennelError: the program that sends broke down.
    """
    with _payload_files(bodies) as payloads, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.load.worker"],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: it is told to end by closing its input
        )
        reader = _Reader(process, on_sample)
        try:
            stdin = cast(IO[str], process.stdin)
            with contextlib.suppress(BrokenPipeError):  # it has ended, and said why
                stdin.write(json.dumps(_plan(target, demand, payloads)) + "\n")
                stdin.flush()
            _wait(reader, stdin, demand.seconds + START + DRAIN + GRACE)
        finally:
            _end(process)
            reader.finished.wait()
        if not reader.ended and not reader.measured.interrupted:
            errors.seek(0)
            raise KennelError(
                "The program that sends the load runs to its end.",
                errors.read()[-2000:].decode(errors="replace").strip() or f"exit code {process.returncode}",
                "Try with less load; where it stays so, report it.",
            )
    return reader.measured


class _Reader(threading.Thread):
    """Takes the lines in a thread of its own: Ctrl-C in the middle of reading one would tear it."""

    def __init__(self, process: subprocess.Popen[str], on_sample: Callable[[Sample], None]) -> None:
        super().__init__(daemon=True)
        self.measured = Measured()
        self.ended = False
        # Ctrl-C in Thread.join() would make Python 3.11 take the thread for ended.
        self.finished = threading.Event()
        self._lines = cast(IO[str], process.stdout)
        self._on_sample = on_sample
        self.start()

    def run(self) -> None:
        try:
            with self._lines as lines:
                for line in lines:
                    if not line.endswith("\n"):
                        break  # torn: it was killed
                    self.ended = _take(line, self.measured, self._on_sample) or self.ended
        finally:
            self.finished.set()


def _wait(reader: _Reader, stdin: IO[str], seconds: float) -> None:
    """Wait for the end; the first Ctrl-C asks for it, the second one does not wait."""
    deadline = time.monotonic() + seconds
    while not reader.finished.is_set() and time.monotonic() < deadline:
        try:
            reader.finished.wait(0.2)
        except KeyboardInterrupt:
            if reader.measured.interrupted:
                return
            reader.measured.interrupted = True
            deadline = time.monotonic() + GRACE
            with contextlib.suppress(BrokenPipeError):
                stdin.close()


def _take(line: str, measured: Measured, on_sample: Callable[[Sample], None]) -> bool:
    """Take a line; whether it was the last one."""
    said = json.loads(line)
    if isinstance(said, list):
        sample = Sample(*said)
        measured.samples.append(sample)
        on_sample(sample)
        return False
    for name, value in said.items():
        setattr(measured, name, value)
    return "seconds" in said


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(BrokenPipeError):
        cast(IO[str], process.stdin).close()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _plan(target: Target, demand: Demand, payloads: list[tuple[str, str]]) -> dict[str, Any]:
    arrivals = None
    if demand.traffic is not None:
        arrivals = {
            "interval": demand.traffic.interval,
            "rates": demand.traffic.rates,
            "spacing": demand.spacing,
            "seed": demand.seed,
        }
    return {
        "url": target.url,
        "service": target.service,
        "signing_name": target.signing_name,
        "region": target.region,
        "headers": target.headers,
        "payloads": payloads,
        "arrivals": arrivals,
        "users": demand.users,
        "seconds": demand.seconds,
        "in_flight": IN_FLIGHT,
        "timeout": TIMEOUT,
        "drain": DRAIN,
    }


@contextmanager
def _payload_files(bodies: Sequence[Body]) -> Iterator[list[tuple[str, str]]]:
    with tempfile.TemporaryDirectory(prefix="kennel-load-") as folder:
        files = []
        for number, body in enumerate(bodies):
            path = Path(folder, f"{number}")
            path.write_bytes(body.content)
            files.append((str(path), body.content_type))
        yield files
