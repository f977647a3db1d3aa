"""What a job is told besides the training settings: where it runs, how large, how long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ml.errors import KennelError

InputMode = Literal["File", "FastFile"]

MAX_JOB_NAME = 63  # characters
MAX_TUNING_NAME = 32  # SageMaker names the trials after it
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_INSTANCE_TYPE = re.compile(r"ml\.([a-z][a-z0-9]*)\.(\d*xlarge|large|medium|metal[a-z0-9-]*)")
_DAY = 24 * 3600  # seconds
_GPU_FAMILIES = re.compile(r"(p\d|g\d)[a-z0-9]*")
_CPU_FAMILIES = re.compile(r"(t|m|c|r)\d[a-z0-9]*")


class OptionError(KennelError):
    """A job cannot be run as it is asked for."""


@dataclass(frozen=True)
class JobOptions:
    """The defaults are those of the workflow that this replaces, on one instance."""

    instance_type: str = "ml.g4dn.xlarge"
    instances: int = 1
    processes: int = 0  # on each instance; 0: one a GPU, or one
    spot: bool = False  # spare capacity: cheaper, and interrupted when others need it
    checkpoints: str | None = None  # s3:// location; None: one of the job's own; "none": without
    max_runtime: int = _DAY  # seconds of training, after which the job is stopped
    max_wait: int | None = None  # seconds with the waiting for spare capacity; None: twice max_runtime
    volume_gb: int = 50
    input_mode: InputMode = "File"  # File: the photos are downloaded first; FastFile: while they are read
    encrypt_traffic: bool = False  # between instances: costs training time
    name: str | None = None  # begins with the stage's prefix and a hyphen; None: by the time

    def __post_init__(self) -> None:
        self._check_instance()
        self._check_times()
        if self.checkpoints not in (None, "none") and not str(self.checkpoints).startswith("s3://"):
            raise OptionError(
                "Checkpoints lie in a bucket.", self.checkpoints, 'Name an s3:// location, or "none".'
            )
        if self.spot and self.checkpoints == "none":
            raise OptionError(
                "Spot training needs checkpoints: what is interrupted would begin again from nothing.",
                "spot, and checkpoints=none",
                "Leave out one of the two.",
            )
        if self.input_mode not in ("File", "FastFile"):
            raise OptionError("The input mode is File or FastFile.", self.input_mode, "Correct it.")
        if self.name is not None and (len(self.name) > MAX_JOB_NAME or not _NAME.fullmatch(self.name)):
            raise OptionError(
                f"A job's name is up to {MAX_JOB_NAME} letters, digits and hyphens, no hyphen at its ends.",
                self.name,
                "Choose another, or leave it out.",
            )

    def _check_instance(self) -> None:
        if not _INSTANCE_TYPE.fullmatch(self.instance_type):
            raise OptionError(
                "A training instance type is ml.family.size.",
                self.instance_type,
                "For example ml.g4dn.xlarge, or ml.m5.xlarge without a GPU.",
            )
        limits = (("instances", 1, 100), ("processes", 0, 64), ("volume_gb", 1, 16384))
        for name, low, high in limits:
            _check_integer(name, getattr(self, name), low, high)

    def _check_times(self) -> None:
        _check_integer("max_runtime", self.max_runtime, 60, 28 * _DAY)
        if self.max_wait is None:
            return
        _check_integer("max_wait", self.max_wait, 60, 56 * _DAY)
        if not self.spot:
            raise OptionError(
                "Only spot training waits for capacity.",
                "max_wait without spot",
                "Leave it out, or use spot.",
            )
        if self.max_wait < self.max_runtime:
            raise OptionError(
                "max_wait includes max_runtime.",
                f"max_wait={self.max_wait}, max_runtime={self.max_runtime}",
                "Raise max_wait, or lower max_runtime.",
            )

    @property
    def family(self) -> str:
        return self.instance_type.split(".")[1]

    @property
    def has_gpu(self) -> bool | None:
        """None where the family is none that is known here."""
        if _GPU_FAMILIES.fullmatch(self.family):
            return True
        return False if _CPU_FAMILIES.fullmatch(self.family) else None

    @property
    def wait_seconds(self) -> int:
        return self.max_wait or min(2 * self.max_runtime, 56 * _DAY)


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionError(f"{name} is a whole number from {low} to {high}.", value, f"Correct {name}.")
