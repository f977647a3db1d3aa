"""Ends what a killed program left running in the process group that it led.

A number alone proves nothing: after the last process of a group, the system gives it to others. What the program was
started with in its environment is in that of its children, and in nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import time
from pathlib import Path

SECONDS_TO_END = 5
POLL_SECONDS = 0.05


def end(group: int, variable: str) -> int:
    """End the group's processes, if they have `variable` (NAME=value) in their environment; return how many."""
    found = _members(group, variable)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + SECONDS_TO_END
        if _members(group, variable):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        while _members(group, variable) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    return len(found)


def _members(group: int, variable: str) -> list[int]:
    if platform.system() != "Linux":
        return _listed_members(group, variable)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                environment = (folder / "environ").read_bytes().split(b"\0")
                if variable.encode() in environment:
                    found.append(int(folder.name))
    return found


def _listed_members(group: int, variable: str) -> list[int]:
    listing = subprocess.run(
        ["ps", "-A", "-E", "-ww", "-o", "pid=,pgid=,stat=,command="],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = []
    for line in listing.splitlines():
        pid, its_group, state, command = [*line.split(None, 3), "", "", "", ""][:4]
        if its_group == str(group) and not state.startswith("Z") and f" {variable} " in f"{command} ":
            found.append(int(pid))
    return found
