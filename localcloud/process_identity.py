"""Tell a process from a later one that was given the same number."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path


def start_mark(pid: int) -> str | None:
    """A text that two processes of the same number never share; None when there is no such process."""
    if platform.system() == "Linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # the name before may hold blanks and brackets
        state, start_time = fields[0], fields[19]  # clock ticks since boot, proc(5) field 22
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if state == "Z" else f"{boot}:{start_time}"
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = listing.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()
