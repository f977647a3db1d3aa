"""What the executor of jobs can be told, each by an environment variable of the cloud's own process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.errors import CloudError


@dataclass(frozen=True)
class Settings:
    instances: int = 20  # of one type in training jobs at a time; AWS's quota differs by account
    grace: float = 30.0  # s from SIGTERM to SIGKILL. AWS gives 120


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    return Settings(
        int(_number(environment, "LOCALCLOUD_TRAINING_INSTANCES", Settings.instances)),
        _number(environment, "LOCALCLOUD_TRAINING_GRACE", Settings.grace),
    )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise CloudError(f"{name} must be a number, and not negative.", text)
    return value
