"""The instances behind one deployed endpoint configuration."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from localcloud.sagemaker import capacity
from localcloud.sagemaker.instance import INVOCATION_TIMEOUT, Host, Instance, InstanceSpec, StartError

log = logging.getLogger(__name__)

_SUPERVISION_INTERVAL = 0.25  # s
_FIRST_RESTART_PAUSE, _LAST_RESTART_PAUSE = 0.5, 30.0  # s; doubled while replacements fail
_PARALLEL_STARTS = 8


@dataclass
class Variant:
    spec: InstanceSpec
    desired_count: int
    desired_weight: float
    current_weight: float
    instances: list[Instance] = field(default_factory=list)  # those that take requests

    @property
    def name(self) -> str:
        return self.spec.variant_name


class Fleet:
    """Instances are started and ended by one thread at a time, the endpoint's or the supervisor."""

    def __init__(self, variants: Iterable[Variant], host: Host) -> None:
        self.variants = {variant.name: variant for variant in variants}
        self._host = host
        self._lock = threading.Lock()  # the lists of instances and their counts of requests
        self._resizing = threading.RLock()
        self._starting: list[Instance] = []
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def start(self) -> None:
        """Bring every instance up, or none: StartError says why."""
        try:
            self.resize()
        except BaseException:
            self.stop(drain=0)
            raise
        self._supervisor.start()

    def resize(self) -> None:
        """Bring the number of instances to what is desired. StartError leaves those that did come up."""
        with self._resizing:
            if self._stopping.is_set():
                return
            missing: list[tuple[Variant, Instance]] = []
            surplus: list[Instance] = []
            with self._lock:
                for variant in self.variants.values():
                    lacking = variant.desired_count - len(variant.instances)
                    missing += [(variant, Instance(variant.spec, self._host)) for _ in range(lacking)]
                for variant in self.variants.values():
                    surplus += variant.instances[variant.desired_count :]
                    del variant.instances[variant.desired_count :]
                self._starting = [instance for _, instance in missing]
            self._end(surplus, INVOCATION_TIMEOUT)
            self._launch_all(missing)

    def _launch_all(self, missing: list[tuple[Variant, Instance]]) -> None:
        with ThreadPoolExecutor(_PARALLEL_STARTS, thread_name_prefix="start") as pool:
            launches = [pool.submit(capacity.carried_on(self._launch), *pair) for pair in missing]
            try:
                for started in as_completed(launches):
                    started.result()
            except BaseException:
                for _, instance in missing:  # one decides for all: no waiting for the others' deadline
                    instance.cancel()
                raise

    def _launch(self, variant: Variant, instance: Instance) -> None:
        instance.start()
        with self._lock:
            if not self._stopping.is_set():
                variant.instances.append(instance)
                return
        instance.stop()

    def _supervise(self) -> None:
        pause = _FIRST_RESTART_PAUSE
        while not self._stopping.wait(_SUPERVISION_INTERVAL):
            try:
                self._replace_dead()
                pause = _FIRST_RESTART_PAUSE
                continue
            except StartError as error:
                log.warning("replacement failed, next attempt in %.1f s: %s", pause, error)
            except Exception:  # such as no more processes or file descriptors: it may pass
                log.exception("replacement failed, next attempt in %.1f s", pause)
            self._stopping.wait(pause)
            pause = min(pause * 2, _LAST_RESTART_PAUSE)

    def _replace_dead(self) -> None:
        self._bury()
        if not self._resizing.acquire(blocking=False):
            return  # the endpoint is at it
        try:
            self.resize()
        finally:
            self._resizing.release()

    def _bury(self) -> None:
        dead: list[Instance] = []
        with self._lock:
            for variant in self.variants.values():
                dead += [instance for instance in variant.instances if not instance.alive]
                variant.instances[:] = [instance for instance in variant.instances if instance not in dead]
        for instance in dead:
            log.warning("instance %s of endpoint %s died", instance.id, instance.spec.endpoint_name)
            instance.stop()

    def acquire(self, variant_name: str | None, tried: set[str]) -> tuple[Instance, int] | None:
        """The least busy instance not yet tried, and how many its variant has; `release` gives it back."""
        with self._lock:
            names = [variant_name] if variant_name else self._by_weight()
            for name in names:
                variant = self.variants[name]
                free = [i for i in variant.instances if i.id not in tried and i.alive]
                if free:
                    random.shuffle(free)  # of two that are as busy, not always the same
                    instance = min(free, key=lambda one: one.in_flight)
                    instance.count(1)
                    return instance, len(variant.instances)
        return None

    def release(self, instance: Instance) -> None:
        with self._lock:
            instance.count(-1)

    def _by_weight(self) -> list[str]:
        """Variant names, the one drawn by weight first, then the others that take traffic."""
        weights = {name: variant.current_weight for name, variant in self.variants.items()}
        names = [name for name, weight in weights.items() if weight > 0] or list(weights)
        if len(names) == 1:
            return names
        first = random.choices(names, [weights[name] or 1.0 for name in names])[0]  # noqa: S311 - no secret
        return [first, *(name for name in names if name != first)]

    def wanted_instances(self) -> Counter[str]:
        """How many instances of each type there are to be."""
        found: Counter[str] = Counter()
        for variant in self.variants.values():
            found[variant.spec.instance_type] += variant.desired_count
        return found

    def running(self) -> list[Instance]:
        with self._lock:
            return [instance for variant in self.variants.values() for instance in variant.instances]

    def concurrency(self) -> list[tuple[InstanceSpec, float]]:
        """Of each instance, how many requests it had at a time, on average since this was called last."""
        with self._lock:
            running = [instance for variant in self.variants.values() for instance in variant.instances]
            return [(instance.spec, instance.concurrency()) for instance in running]

    def current_count(self, variant_name: str) -> int:
        with self._lock:
            return len(self.variants[variant_name].instances)

    def stop(self, drain: float = INVOCATION_TIMEOUT) -> None:
        """End all instances, each when it has answered its requests or after `drain` seconds."""
        self._stopping.set()
        with self._lock:
            leaving = [instance for variant in self.variants.values() for instance in variant.instances]
            for variant in self.variants.values():
                variant.instances.clear()
            for instance in self._starting:
                instance.cancel()
        self._end(leaving, drain)
        # It may be at ending one, in the name of a role that is there only now.
        if self._supervisor.is_alive():
            self._supervisor.join()

    def _end(self, instances: list[Instance], drain: float) -> None:
        deadline = time.monotonic() + drain

        def end(instance: Instance) -> None:
            while instance.in_flight and instance.alive and time.monotonic() < deadline:
                time.sleep(0.02)
            instance.stop()

        if instances:
            with ThreadPoolExecutor(len(instances), thread_name_prefix="end") as pool:
                list(pool.map(end, instances))
