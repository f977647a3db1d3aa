"""Installs a program of PyPI's into a virtual environment of its own, at its first use.

Whole or not at all: what a killed installation left is thrown away. Two at a time wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml.errors import KennelError
from ops.paths import WORK, shown

SECONDS = 900  # it takes half a minute with a near package index
FREE_BYTES = 1024**3  # 300 MB, which pip unpacks beside what it has downloaded


@dataclass(frozen=True)
class Tool:
    """A program, by the package's name and the lock file of all that it needs."""

    name: str
    lock: Path
    without: str  # how to go on without it, such as "./inv plan --no-scan"
    root: Path = WORK / "tools"

    @property
    def version(self) -> str:
        """Return what the lock file pins."""
        pins = (line.partition("==") for line in self.lock.read_text().splitlines())
        return next(version.strip() for name, _, version in pins if name.strip().lower() == self.name)

    @property
    def digest(self) -> str:
        """Return what the environment depends on: the pinned packages, and the interpreter."""
        parts = self.lock.read_bytes(), sys.version.encode()
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]

    @property
    def directory(self) -> Path:
        return self.root / f"{self.name}-{self.digest}"

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def _complete(self) -> Path:
        return self.directory / ".complete"

    def ensure(self) -> Path:
        """Install it where it is not; return its interpreter.

        Raises:
            KennelError: there is no room, or pip cannot install it.
        """
        if not self._complete.is_file():
            self.root.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if not self._complete.is_file():
                    self._install()
        return self.python

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock; the kernel lets go of it whatever happens."""
        with (self.root / f".{self.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"Waiting for another run that installs {self.name}.", file=sys.stderr)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _install(self) -> None:
        free = shutil.disk_usage(self.root).free
        if free < FREE_BYTES:
            raise KennelError(
                f"Installing {self.name} needs 1 GB of free disk.",
                f"{free / 1024**3:.1f} GB are free at {shown(self.root)}",
                f"Make room, or {self.without}.",
            )
        print(f"Installing {self.name} {self.version} (once, half a minute).", file=sys.stderr)
        for old in self.root.glob(f"{self.name}-*"):  # of other pins, or half made
            shutil.rmtree(old)
        venv.create(self.directory, symlinks=True)
        log = self.root / f"{self.name}.log"
        try:
            with log.open("w") as output:
                done = subprocess.run(
                    self._pip(), env=_environment(), stdout=output, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, timeout=SECONDS, check=False,
                )  # fmt: skip
            said = " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if done.returncode else None
        except subprocess.TimeoutExpired:
            said = f"pip was not done after {SECONDS} s"
        if said is not None:
            raise KennelError(
                f"The plan is checked by {self.name}, which pip could not install (log: {shown(log)}).",
                said,
                f"Check the connection to the package index and run it again, or {self.without}.",
            )
        self._complete.touch()

    def _pip(self) -> list[str]:
        """Return the call of our environment's pip, which works on the other's interpreter."""
        return [
            sys.executable, "-m", "pip", "--python", str(self.python), "install", "--no-input", "--no-deps",
            "--progress-bar", "off", "--disable-pip-version-check", "-r", str(self.lock),
        ]  # fmt: skip


def _environment() -> dict[str, str]:
    """Return what pip needs: its settings, no credentials of AWS's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
