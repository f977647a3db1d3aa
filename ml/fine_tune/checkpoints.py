"""What a fine-tuning goes on from after an interruption: a file an epoch, whole or not there."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ml.data.files import PART, sweep
from ml.errors import KennelError

KEPT = 2  # files: the last one, and one to fall back on

_NAME = re.compile(r"epoch-([0-9]{5,})\.([0-9a-f]{32})\.pt")  # the name tells what the content must hash to
_log = logging.getLogger(__name__)


class Checkpoints:
    """Of one run, whose settings they belong to."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = dict(settings)

    def save(self, epoch: int, state: Mapping[str, Any]) -> None:
        handle, part = tempfile.mkstemp(dir=self._folder, prefix=PART)
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save({"settings": self._settings, "state": dict(state)}, file)
                file.flush()
                os.fsync(file.fileno())
            target = self._folder / f"epoch-{epoch:05}.{_digest(Path(part))}.pt"
            Path(part).replace(target)
        finally:
            Path(part).unlink(missing_ok=True)
        _sync(self._folder)
        for path in self._files()[KEPT:]:
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest that is whole; None where there is none. Raises `KennelError` where it is of other settings."""
        self._prepare()
        for path in self._files():
            content = _read(path)
            if content is None:
                _log.warning("The checkpoint %s is damaged; the one before it is used.", path)
                path.unlink()
                continue
            self._check(path, content["settings"])
            return dict(content["state"])
        return None

    def clear(self) -> None:
        """For a run that starts afresh."""
        self._prepare()
        for path in self._files():
            path.unlink()

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        sweep(self._folder)

    def _files(self) -> list[Path]:
        """The newest first."""
        found = [
            (int(match[1]), path) for path in self._folder.iterdir() if (match := _NAME.fullmatch(path.name))
        ]
        return [path for _, path in sorted(found, reverse=True)]

    def _check(self, path: Path, settings: Mapping[str, Any]) -> None:
        names = [*self._settings, *(settings.keys() - self._settings.keys())]
        differing = [
            f"{name}={settings.get(name)!r} there, {self._settings.get(name)!r} here"
            for name in names
            if settings.get(name) != self._settings.get(name)
        ]
        if differing:
            raise KennelError(
                "A run can be resumed with the settings and the data that it began with",
                f"{path}: {'; '.join(differing)}",
                "use the same settings, or start afresh: without --resume, or a job with other --checkpoints",
            )


def _read(path: Path) -> dict[str, Any] | None:
    """None where the content is not what was written, or more than data."""
    match = _NAME.fullmatch(path.name)
    if match is None or match[2] != _digest(path):
        return None
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError:
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _sync(folder: Path) -> None:
    """A name lasts when its folder is on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
