"""The only place in ops that reads the environment. Order: argument, then environment, then default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.errors import KennelError

STAGES = ("local", "dev", "prod")


@dataclass(frozen=True)
class Settings:
    """What may be set from outside; the README lists the variables."""

    stage: str
    provider_mirror: Path | None
    cloud_lifetime: int  # seconds

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ, *, stage: str | None = None) -> Settings:
        """Parse the settings.

        Raises:
            KennelError: a value breaks its rule.
        """
        return cls(
            stage=_stage(stage or environment.get("KENNEL_STAGE") or "local"),
            provider_mirror=_directory(environment, "KENNEL_PROVIDER_MIRROR"),
            cloud_lifetime=_seconds(environment, "KENNEL_CLOUD_LIFETIME", 12 * 3600),
        )


def _stage(value: str) -> str:
    if value not in STAGES:
        raise KennelError(
            f"A stage is one of {', '.join(STAGES)}.", value, "Name one with --stage or in KENNEL_STAGE."
        )
    return value


def _directory(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name)
    if not value:
        return None
    if not Path(value).is_dir():
        raise KennelError(f"{name} is an existing directory.", value, f"Correct {name}, or unset it.")
    return Path(value)


def _seconds(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name)
    if not value:
        return default
    if not value.isdecimal() or not 60 <= int(value) <= 7 * 86400:
        raise KennelError(
            f"{name} is a whole number of seconds from 60 to 604800.", value, f"Correct {name}, or unset it."
        )
    return int(value)
