"""What Prometheus scrapes at /metrics: of all workers, whichever of them answers.

Each worker writes its numbers into files that belong to its place, not to its process: a worker that replaces
another goes on with its counters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from .batching import Job

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES: Final = tuple(2.0**power for power in range(9))


class Metrics:
    def __init__(self, place: int) -> None:
        """`place` is the number of this worker among those that share PROMETHEUS_MULTIPROC_DIR."""
        # By default files are named by process, and each replaced worker would leave some.
        self._value = values.MultiProcessValue(process_identifier=lambda: place)  # type: ignore[no-untyped-call]
        values.ValueClass = self._value
        registry = CollectorRegistry()

        def histogram(name: str, help_text: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
            return Histogram(f"kennel_{name}", help_text, buckets=buckets, registry=registry)

        def gauge(name: str, help_text: str, mode: str = "livesum") -> Gauge:
            made = Gauge(f"kennel_{name}", help_text, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]
            made.set(0)  # in place of what the worker before left
            return made

        self._requests = Counter(
            "kennel_requests", "Invocations that were answered.", ["status"], registry=registry
        )
        self._refused = Counter(
            "kennel_refused", "Invocations that got no scores.", ["reason"], registry=registry
        )
        self._in_flight = gauge("in_flight", "Invocations that are not answered yet.")
        self._waiting = gauge("queue_length", "Images that wait to be decoded or inferred.")
        self._wait = gauge("estimated_wait_seconds", "What a request that came now would wait.", "livemax")
        self._workers = gauge("workers", "Workers that serve.")
        self._total = histogram("request_seconds", "From the head of a request to its answer, scores or not.")
        self._queue = histogram("queue_seconds", "From the last byte of a request to the first work on it.")
        self._decode = histogram("decode_seconds", "From the bytes of an image to what the model takes.")
        self._inference = histogram("inference_seconds", "Of the call that inferred the image's batch.")
        self._batch = histogram("batch_images", "Images that were inferred together.", _SIZES)
        self._restarts = Counter(
            "kennel_worker_restarts", "Workers that were replaced.", ["reason"], registry=registry
        )
        self._model = Gauge(
            "kennel_model_info",
            "The model that is served.",
            ["engine", "precision", "classes", "manifest"],
            registry=registry,
            multiprocess_mode="max",
        )
        self._statuses: dict[int, Callable[[], None]] = {}
        self._reasons: dict[str, Callable[[], None]] = {}

    def model(self, engine: str, precision: str, classes: str, manifest: str) -> None:
        self._model.labels(engine, precision, classes, manifest).set(1)

    def restarted(self, reason: str) -> None:
        self._restarts.labels(reason).inc()

    def answered(self, status: int, reason: str | None, seconds: float) -> None:
        count = self._statuses.get(status)
        if count is None:
            count = self._statuses[status] = self._requests.labels(str(status)).inc
        count()
        if reason is not None:
            refused = self._reasons.get(reason)
            if refused is None:
                refused = self._reasons[reason] = self._refused.labels(reason).inc
            refused()
        self._total.observe(seconds)

    def worked(self, job: Job) -> None:
        self._queue.observe(job.queue_seconds)
        if job.batch:
            self._decode.observe(job.decode_seconds)
            self._inference.observe(job.inference_seconds)
            self._batch.observe(job.batch)

    def state(self, in_flight: int, waiting: int, wait_seconds: float) -> None:
        """What changes with every request is told once a second, and when somebody asks."""
        self._workers.set(1)
        self._in_flight.set(in_flight)
        self._waiting.set(waiting)
        self._wait.set(wait_seconds)

    def close(self) -> None:
        self._value.close_all_files()

    def text(self) -> bytes:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
