"""A study on disk: one process at a time, and whatever it has written stands when it is killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from ml.errors import KennelError


class Journal(BaseJournalBackend):
    """Optuna's operations, one line of JSON each, as its JournalFileBackend writes them.

    That one locks the file and waits for the disk at every operation, 60 ms a trial on the disks tried: more than a
    small trial takes. Here a lock on the folder keeps other processes out, and `sync` is called after each trial.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("a+b")
        self._file.seek(0)
        lines = self._file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # a kill in the middle of writing left it
            self._file.truncate(sum(map(len, lines)) - len(lines.pop()))
        try:
            self._logs: list[dict[str, Any]] = [json.loads(line) for line in lines]
        except ValueError as error:
            self._file.close()
            raise KennelError(
                "The journal of a study is lines of JSON", f"{file}: {error}", f"delete {file.parent}"
            ) from error

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        self._logs.extend(json.loads(line) for line in lines)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps every other process out of the study; the lock dies with the process that holds it."""
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise KennelError(
                "One process at a time tunes in a study",
                f"process {lock.read().strip() or 'unknown'} does in {folder}",
                "wait for it, or name another study",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
