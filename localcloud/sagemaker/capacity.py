"""How many instances of a type there are for endpoints."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping

from localcloud.errors import CloudError

VARIABLE = "LOCALCLOUD_ENDPOINT_INSTANCES"
_DEFAULT = 20  # of each type
INSUFFICIENT = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry "
    "using a different ML instance type or after some time."
)


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
