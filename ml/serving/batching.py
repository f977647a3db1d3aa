"""From the bytes of images to scores: a queue, threads that decode, and threads that infer in batches.

Where a batch is no faster than its images (max_batch 1), one thread does both for an image, and as many threads as
the engine has streams. Else decoded images queue a second time, and inference takes what is waiting there: never
more than max_batch, and it never waits for more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol

import numpy as np

from .errors import RequestError
from .networks import Floats, Pixels

_WEIGHT: Final = 1 / 16  # of the newest measurement in the mean


class Model(Protocol):
    @property
    def concurrency(self) -> int: ...

    @property
    def max_batch(self) -> int: ...

    def infer(self, pixels: Pixels) -> Floats: ...


class Connection:
    """Of a client that may go away."""

    gone = False


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(slots=True, eq=False)
class Job:
    data: bytes
    declared: str | None  # format, if any
    deadline: float  # of time.monotonic(), for the answer
    connection: Connection
    future: asyncio.Future[Floats]  # logits [1, C]
    queued: float = field(default_factory=time.monotonic)
    begin_by: float = math.inf  # of time.monotonic(); later, work on it is in vain
    started: float = 0.0
    decode_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch: int = 0  # images that were inferred together; 0: none
    pixels: Pixels | None = None

    @property
    def queue_seconds(self) -> float:
        return max(0.0, self.started - self.queued)


class Pipeline:
    """`submit` and the estimates belong to the thread of the event loop; the rest runs in threads of its own."""

    def __init__(
        self,
        model: Model,
        decode: Callable[[bytes, str | None], Pixels],
        decoders: int,
        done: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._model = model
        self._decode = decode
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._decoded: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._batching = model.max_batch > 1
        self._busy_since: dict[int, float] = {}  # by thread
        self._stage_seconds = [0.0, 0.0]  # a job, in the first and in the second stage; means
        self._stage_threads = [decoders if self._batching else model.concurrency, model.concurrency]
        self.outstanding = 0  # jobs submitted and not answered
        targets = [self._first] * self._stage_threads[0]
        if self._batching:
            targets += [self._second] * self._stage_threads[1]
        # Daemons: one that hangs keeps no process from its end.
        self._threads = [threading.Thread(target=target, daemon=True) for target in targets]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        # Who comes alone is worked on, whatever it may take.
        job.begin_by = job.deadline - (self.work_seconds() if self.outstanding else 0)
        self.outstanding += 1
        self._waiting.put(job)

    @property
    def waiting(self) -> int:
        return self._waiting.qsize() + self._decoded.qsize()

    def wait_seconds(self) -> float:
        """How long a job that came now would wait, by what those before it have taken lately."""
        pace = max(
            seconds / threads
            for seconds, threads in zip(self._stage_seconds, self._stage_threads, strict=True)
        )
        return self.outstanding * pace

    def work_seconds(self) -> float:
        """How long its own work would take."""
        return sum(self._stage_seconds)

    def stuck_seconds(self) -> float:
        """How long the oldest piece of work has been going on."""
        return time.monotonic() - min(list(self._busy_since.values()), default=time.monotonic())

    def close(self) -> None:
        """Ends the threads, once they have nothing to do."""
        for _ in range(self._stage_threads[0]):
            self._waiting.put(None)
        for thread in self._threads[: self._stage_threads[0]]:
            thread.join(1)
        for _ in self._threads[self._stage_threads[0] :]:
            self._decoded.put(None)
        for thread in self._threads[self._stage_threads[0] :]:
            thread.join(1)

    def _first(self) -> None:
        own = threading.get_ident()
        while (job := self._waiting.get()) is not None:
            job.started = self._busy_since[own] = time.monotonic()
            if self._dropped(job):
                pass
            elif (error := self._decode_into(job)) is not None:
                self._answer([job], error)
            elif self._batching:
                self._decoded.put(job)
            else:
                self._infer([job])
            del job  # it holds a photo, and the next may be long in coming
            self._busy_since.pop(own, None)

    def _second(self) -> None:
        own = threading.get_ident()
        while (job := self._decoded.get()) is not None:
            self._busy_since[own] = time.monotonic()
            batch = [job]
            while len(batch) < self._model.max_batch:
                try:
                    more = self._decoded.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._decoded.put(None)
                    break
                batch.append(more)
            batch = [each for each in batch if not self._dropped(each)]
            if batch:
                self._infer(batch)
            del job, batch
            self._busy_since.pop(own, None)

    def _decode_into(self, job: Job) -> Exception | None:
        try:
            job.pixels = self._decode(job.data, job.declared)
        except Exception as error:
            return error
        job.data = b""
        job.decode_seconds = time.monotonic() - job.started
        return None

    def _infer(self, batch: list[Job]) -> None:
        began = time.monotonic()
        try:
            logits = self._model.infer(np.stack([job.pixels for job in batch if job.pixels is not None]))
        except Exception as error:
            self._answer(batch, error)
            return
        seconds = time.monotonic() - began
        for job in batch:
            job.inference_seconds, job.batch = seconds, len(batch)
        self._answer(batch, logits)

    def _dropped(self, job: Job) -> bool:
        if job.connection.gone:
            self._answer([job], ClientGoneError())
        elif time.monotonic() > job.begin_by + job.decode_seconds:  # which is work that is done
            self._answer([job], too_late())
        else:
            return False
        return True

    def _answer(self, jobs: list[Job], result: Floats | Exception) -> None:
        for job in jobs:
            job.pixels = None
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has given up waiting
            self._loop.call_soon_threadsafe(self._deliver, jobs, result)

    def _deliver(self, jobs: list[Job], result: Floats | Exception) -> None:
        self.outstanding -= len(jobs)
        for number, job in enumerate(jobs):
            if job.batch:
                self._learn(job)
            self._done(job)
            if job.future.done():  # cancelled
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result[number : number + 1])

    def _learn(self, job: Job) -> None:
        inference = job.inference_seconds / job.batch
        both = job.decode_seconds + inference
        measured = (job.decode_seconds, inference) if self._batching else (both, 0.0)
        for stage, seconds in enumerate(measured):
            before = self._stage_seconds[stage]
            self._stage_seconds[stage] = before + (seconds - before) * (_WEIGHT if before else 1)


def too_late() -> RequestError:
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too_late",
        "The answer would have come after the deadline of the request. Try again, when there is less to do.",
    )
