"""Makes the virtual environment when requirements.txt has changed, then becomes invoke.

Runs before anything is installed: the standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements.txt"
STAMP = VENV / ".installed-from"
MINIMUM_FREE_BYTES = 8 * 1024**3  # torch and what comes with it take 5 GB, and pip unpacks beside it


def fingerprint() -> str:
    """What the environment depends on: the pinned packages, the interpreter, and where it stands."""
    parts = (REQUIREMENTS.read_bytes(), sys.version.encode(), str(VENV).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_current() -> bool:
    return STAMP.is_file() and STAMP.read_text() == fingerprint()


def is_of_this_python() -> bool:
    """Whether there is a usable environment, made by this version of Python."""
    configuration = VENV / "pyvenv.cfg"
    version = ".".join(str(number) for number in sys.version_info[:3])
    return (VENV / "bin" / "pip").exists() and f"version = {version}" in configuration.read_text()


@contextmanager
def alone() -> Iterator[None]:
    """Hold the set-up lock: a second run waits for the first. The kernel lets go of it whatever happens."""
    with (ROOT / ".inv.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("inv: waiting for the set-up that another run has begun", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install() -> None:
    free = shutil.disk_usage(ROOT).free
    if free < MINIMUM_FREE_BYTES and not VENV.is_dir():
        sys.exit(
            f"inv: the set-up needs 8 GB of free disk, {free / 1024**3:.1f} GB are left: make room first."
        )
    started = time.monotonic()
    print("inv: setting up .venv from requirements.txt (a few minutes, once)", file=sys.stderr)
    STAMP.unlink(missing_ok=True)
    if not is_of_this_python():
        try:
            venv.create(VENV, clear=True, with_pip=True)
        except (OSError, subprocess.CalledProcessError):
            sys.exit(
                "inv: this Python cannot make a .venv with pip: install python3-venv, or name another in KENNEL_PYTHON."
            )
    run_pip()
    STAMP.write_text(fingerprint())
    print(f"inv: set up in {time.monotonic() - started:.0f} s", file=sys.stderr)


def run_pip() -> None:
    """Install the pinned packages; one line of progress on a terminal, the log's end on failure."""
    log_file = VENV / "install.log"
    wanted = sum(1 for line in REQUIREMENTS.read_text().splitlines() if "==" in line)
    command = [
        str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-input", "--progress-bar", "off",
        "--disable-pip-version-check", "-r", str(REQUIREMENTS),
    ]  # fmt: skip
    seen: set[str] = set()
    shown = 0.0
    with (
        log_file.open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            found = re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line)
            if found:
                seen.add(found.group(1).lower())
                note = f"{min(len(seen), wanted)}/{wanted} {found.group(1)}"
            elif line.startswith("Installing collected packages"):
                note = f"unpacking {wanted} packages"
            else:
                continue
            shown = show(note, shown)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if pip.returncode != 0:
        tail = log_file.read_text().splitlines()[-15:]
        print("\n".join(tail), file=sys.stderr)
        sys.exit(f"inv: pip could not install the pinned packages (whole log: {log_file.relative_to(ROOT)}); "
                 "check the connection to the package index and run the same command again.")  # fmt: skip


def show(note: str, shown: float) -> float:
    """Rewrite the terminal's line, or, in a log, print one every ten seconds."""
    now = time.monotonic()
    if sys.stderr.isatty():
        print(f"\r\033[Kinv: {note}"[:79], end="", file=sys.stderr, flush=True)
    elif note.startswith("unpacking") or now - shown > 10:
        print(f"inv: {note}", file=sys.stderr, flush=True)
        return now
    return shown


def main() -> None:
    if not is_current():
        try:
            with alone():
                if not is_current():
                    install()
        except KeyboardInterrupt:
            sys.exit("\ninv: set-up interrupted; the same command goes on with it.")
    python = str(VENV / "bin" / "python")
    os.execv(python, [python, "-m", "invoke", "--search-root", str(ROOT), *sys.argv[1:]])


if __name__ == "__main__":
    main()
