"""Ends processes that left their command's process group, such as torchrun's workers, which lead sessions of their own.

They are known by a variable in the environment that they were started with. Linux only: elsewhere they are left.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

MARK = "KENNEL_COMMAND"


def end(command_id: str) -> None:
    wanted = f"{MARK}={command_id}".encode()
    for _ in range(3):  # one may start another while they are looked at
        found = [
            int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if _holds(path, wanted)
        ]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _holds(path: Path, wanted: bytes) -> bool:
    try:
        return wanted in path.read_bytes().split(b"\0")
    except OSError:  # another user's, or gone
        return False
