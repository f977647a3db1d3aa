"""The one place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

ESTIMATED_SHARE: Final = (
    0.8  # of a deadline, that an answer is estimated to take at most; the rest is for errors
)

EngineKind = Literal["openvino", "torch"]


class SettingsError(Exception):
    """An environment variable has a value that it cannot have."""


@dataclass(frozen=True)
class Settings:
    base_dir: Path = Path("/opt/ml")
    port: int = 8080  # 0: any free one, told in the log
    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside of itself
    engine: EngineKind | None = None  # None: OpenVINO where it is installed, else PyTorch
    fetch_urls: bool = False
    fetch_allow_http: bool = False
    fetch_allow_loopback: bool = False
    max_body_bytes: int = 6_291_456  # what SageMaker lets through to a real-time endpoint
    read_timeout_seconds: int = 30  # for the headers, and again for the body
    max_queue: int = 256  # requests that may wait for the model
    deadline_seconds: int = 10  # for an answer; who would wait longer is refused at once
    workers: int | None = None  # processes; None: one for each eight processors
    hang_seconds: int = 30  # without a sign of life: the worker is replaced

    @property
    def model_dir(self) -> Path:
        return self.base_dir / "model"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises SettingsError."""
        values: dict[str, Any] = {}
        for field, (variable, parse, rule) in _VARIABLES.items():
            text = environment.get(variable)
            if text is None:
                continue
            try:
                values[field] = parse(text)
            except ValueError:
                raise SettingsError(f"{variable} is {text!r}; {rule} is needed.") from None
        return cls(**values)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _integer(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise ValueError
        return int(text)

    return parse


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _absolute_path(text: str) -> Path:
    if not Path(text).is_absolute():
        raise ValueError
    return Path(text)


def _engine(text: str) -> str:
    if text not in get_args(EngineKind):
        raise ValueError
    return text


_BOOLEAN: Final = (_boolean, "true or false")
_VARIABLES: Final[dict[str, tuple[str, Callable[[str], Any], str]]] = {
    "base_dir": ("SAGEMAKER_BASE_DIR", _absolute_path, "an absolute path"),
    "port": ("SAGEMAKER_BIND_TO_PORT", _integer(0, 65535), "a number from 0 to 65535"),
    "host": ("KENNEL_HOST", _text, "an address to listen on"),
    "engine": ("KENNEL_ENGINE", _engine, " or ".join(get_args(EngineKind))),
    "fetch_urls": ("KENNEL_FETCH_URLS", *_BOOLEAN),
    "fetch_allow_http": ("KENNEL_FETCH_ALLOW_HTTP", *_BOOLEAN),
    "fetch_allow_loopback": ("KENNEL_FETCH_ALLOW_LOOPBACK", *_BOOLEAN),
    "max_body_bytes": ("KENNEL_MAX_BODY_BYTES", _integer(1, 2**30), "a number from 1 to 1073741824"),
    "read_timeout_seconds": ("KENNEL_READ_TIMEOUT_SECONDS", _integer(1, 60), "a number from 1 to 60"),
    "max_queue": ("KENNEL_MAX_QUEUE", _integer(1, 4096), "a number from 1 to 4096"),
    "deadline_seconds": ("KENNEL_DEADLINE_SECONDS", _integer(1, 60), "a number from 1 to 60"),
    "workers": ("KENNEL_WORKERS", _integer(1, 64), "a number from 1 to 64"),
    "hang_seconds": ("KENNEL_HANG_SECONDS", _integer(2, 600), "a number from 2 to 600"),
}
