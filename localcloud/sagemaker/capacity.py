"""How many instances of a type there are for endpoints, and the lack of any that a fault brings about."""

from __future__ import annotations

import contextvars
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from localcloud.errors import CloudError

VARIABLE = "LOCALCLOUD_ENDPOINT_INSTANCES"
_DEFAULT = 20  # of each type
INSUFFICIENT = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry "
    "using a different ML instance type or after some time."
)
INSUFFICIENT_FOR_JOB = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance "
    "type."
)
P = ParamSpec("P")
T = TypeVar("T")
_withheld = contextvars.ContextVar("withheld", default=False)


class Capacity:
    def __init__(self, instances: int = _DEFAULT) -> None:
        self._instances = instances
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, instance_type: str) -> bool:
        with self._lock:
            if self._taken[instance_type] >= self._instances:
                return False
            self._taken[instance_type] += 1
            return True

    def give_back(self, instance_type: str) -> None:
        with self._lock:
            self._taken[instance_type] -= 1


def from_environment(environment: Mapping[str, str] = os.environ) -> Capacity:
    text = environment.get(VARIABLE, str(_DEFAULT))
    if not text.isdecimal():
        raise CloudError(f"{VARIABLE} must be a whole number, of instances of each type.", text)
    return Capacity(int(text))


@contextmanager
def withheld() -> Iterator[None]:
    """There are no instances for what is begun in the block."""
    token = _withheld.set(True)
    try:
        yield
    finally:
        _withheld.reset(token)


def is_withheld() -> bool:
    return _withheld.get()


def carried_on(work: Callable[P, T]) -> Callable[P, T]:
    """`work`, for another thread that goes on with what is begun in this one."""
    context = contextvars.copy_context()
    return lambda *arguments, **named: context.run(work, *arguments, **named)
