"""What the executor of Lambda functions can be told; the limits of AWS itself are constants.

Each field of `Settings` is read from the environment variable LOCALCLOUD_LAMBDA_<FIELD>.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from localcloud.errors import CloudError

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ACCOUNT_CONCURRENCY = 1000
MIN_UNRESERVED_CONCURRENCY = 100
SYNC_PAYLOAD_BYTES = 6_291_456
RESPONSE_BYTES = 6_291_556
ASYNC_PAYLOAD_BYTES = 262_144
UNZIPPED_BYTES = 262_144_000
TOTAL_CODE_BYTES = 80_530_636_800
ENVIRONMENT_BYTES = 4096
INIT_SECONDS = 10.0

_PREFIX = "LOCALCLOUD_LAMBDA_"


@dataclass(frozen=True)
class Settings:
    max_sandboxes: int = 100  # processes on this machine at most, about 25 MB each for a small handler
    max_warm_sandboxes: int = 50  # of which provisioned concurrency may hold so many
    idle_seconds: float = 300.0  # AWS does not say how long it keeps an idle sandbox; minutes, as observed
    retry_delays: tuple[float, ...] = (
        60.0,
        120.0,
    )  # s before the second and third try of an asynchronous call
    throttle_delay: float = (
        1.0  # s before a throttled asynchronous call is tried again; doubles up to 5 minutes
    )
    max_queued_events: int = 1000  # asynchronous calls waiting or running


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    known = {_PREFIX + field.name.upper(): field.name for field in fields(Settings)}
    received = {name: value for name, value in environment.items() if name.startswith(_PREFIX)}
    unknown = sorted(received.keys() - known.keys())
    if unknown:
        raise CloudError(
            f"Variables {_PREFIX}* must be one of {', '.join(sorted(known))}.", ", ".join(unknown)
        )
    values: dict[str, Any] = {
        known[name]: _parse(name, known[name], value) for name, value in received.items()
    }
    return Settings(**values)


def _parse(variable: str, field: str, text: str) -> int | float | tuple[float, ...]:
    default = getattr(Settings, field)
    try:
        if isinstance(default, tuple):
            values = tuple(float(part) for part in text.split(",") if part.strip())
        else:
            values = (type(default)(text),)
    except ValueError as error:
        raise CloudError(
            f"{variable} must be a number{' list' * isinstance(default, tuple)}.", text
        ) from error
    if any(not 0 <= value < float("inf") for value in values):
        raise CloudError(f"{variable} must not be negative.", text)
    return values if isinstance(default, tuple) else values[0]
