"""Metrics that instances of endpoints emit by themselves, whether or not there are requests."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import cast

import psutil
from moto.sagemaker.models import sagemaker_backends

from localcloud import clock
from localcloud.metrics import FINE, Metrics
from localcloud.sagemaker.components.backend import ComponentBackend
from localcloud.sagemaker.endpoint import Endpoint
from localcloud.sagemaker.fleet import Fleet
from localcloud.sagemaker.instance import Instance

_INTERVAL = 30.0  # s of the clock between two looks at the processes; AWS publishes once a minute
_LEAST = 2.0  # s of real time, because a look at all processes of the machine costs 20 ms


class Usage:
    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._seconds: dict[str, float] = {}  # of processor time, by instance

    def measure(self, now: float) -> None:
        """At the end of ten seconds, `now` of the clock's time."""
        fleets = list(_fleets())
        middle = clock.current().real(now - FINE / 2)
        for fleet in fleets:
            for spec, requests in fleet.concurrency():
                values = {spec.concurrency_metric: (requests, "None")}
                Metrics.record(
                    spec.account_id,
                    spec.region,
                    "AWS/SageMaker",
                    spec.dimensions,
                    values,
                    at=middle,
                    resolution=FINE,
                )
        elapsed = time.monotonic() - self._looked
        if elapsed >= max(_INTERVAL / clock.current().speed, _LEAST):
            self._looked = time.monotonic()
            running = [instance for fleet in fleets for instance in fleet.running()]
            self._look_at_processes([*running, *_transforming()], elapsed)

    def _look_at_processes(self, instances: list[Instance], elapsed: float) -> None:
        """In the name of each instance's role, as on AWS: without the right there are no such metrics."""
        before, self._seconds = self._seconds, {}
        if not instances:
            return
        children: dict[int, list[psutil.Process]] = defaultdict(list)
        for process in psutil.process_iter(["ppid"]):  # once for all instances
            children[process.info["ppid"]].append(process)
        total = psutil.virtual_memory().total
        for instance in instances:
            seconds = resident = 0.0
            for process in _tree(instance.pid, children):
                try:
                    with process.oneshot():
                        times = process.cpu_times()
                        resident += process.memory_info().rss
                except psutil.Error:  # it has just ended
                    continue
                seconds += times.user + times.system
            self._seconds[instance.id] = seconds
            values = {"MemoryUtilization": (100 * resident / total, "Percent")}
            if instance.id in before:
                used = max(seconds - before[instance.id], 0.0)
                values["CPUUtilization"] = (
                    100 * used / elapsed,
                    "Percent",
                )  # of one processor, as AWS has it
            spec = instance.spec
            for namespace, where in spec.usage(instance.id).items():
                if spec.actor.may("cloudwatch:PutMetricData", cloudwatch__namespace=namespace):
                    Metrics.record(spec.account_id, spec.region, namespace, where, values)


def _tree(pid: int, children: dict[int, list[psutil.Process]]) -> Iterator[psutil.Process]:
    try:
        waiting = [psutil.Process(pid)]
    except psutil.Error:
        return
    while waiting:
        process = waiting.pop()
        waiting += children[process.pid]
        yield process


def _fleets() -> Iterator[Fleet]:
    for regions in list(sagemaker_backends.values()):
        for backend in list(regions.values()):
            for endpoint in list(backend.endpoints.values()):
                if isinstance(endpoint, Endpoint):
                    yield from endpoint.fleets()
            for component in list(cast(ComponentBackend, backend).components.values()):
                yield component.fleet


def _transforming() -> Iterator[Instance]:
    for regions in list(sagemaker_backends.values()):
        for backend in list(regions.values()):
            for job in list(cast(ComponentBackend, backend).transforms.values()):
                yield from job.running
