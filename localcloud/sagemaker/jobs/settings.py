"""What the executor of jobs can be told: each field by an environment variable, LOCALCLOUD_TRAINING_<FIELD>."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from localcloud.errors import CloudError

_PREFIX = "LOCALCLOUD_TRAINING_"


@dataclass(frozen=True)
class Settings:
    instances: int = 20  # of one type in training jobs at a time; AWS's quota differs by account
    grace: float = 30.0  # s from SIGTERM to SIGKILL. AWS gives 120


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    known = {_PREFIX + field.name.upper(): field.name for field in fields(Settings)}
    received = {name: value for name, value in environment.items() if name.startswith(_PREFIX)}
    unknown = sorted(received.keys() - known.keys())
    if unknown:
        raise CloudError(
            f"Variables {_PREFIX}* must be one of {', '.join(sorted(known))}.", ", ".join(unknown)
        )
    values: dict[str, Any] = {}
    for variable, text in received.items():
        kind = type(getattr(Settings, known[variable]))
        try:
            value = kind(text)
        except ValueError as error:
            raise CloudError(f"{variable} must be a number.", text) from error
        if not 0 <= value < float("inf"):
            raise CloudError(f"{variable} must not be negative.", text)
        values[known[variable]] = value
    return Settings(**values)
