"""Kill process groups when standard input ends: "+<id>" adds one, "-<id>" forgets it.

"*<NAME=value>" adds all processes that were started with this in their environment, whatever group they are in.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it goes when the cloud goes, not before
    groups: set[int] = set()
    marks: set[str] = set()
    for line in sys.stdin:
        if line[0] == "*":
            marks.add(line[1:].strip())
            continue
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    kill_marked(marks)


def kill_marked(marks: set[str]) -> None:
    """Kill the processes that have one of these in their environment. Linux only: elsewhere they are left."""
    wanted = {mark.encode() for mark in marks}
    for _ in range(3):  # one may start another while they are looked at
        found = [
            int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if _holds(path, wanted)
        ]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _holds(path: Path, wanted: set[bytes]) -> bool:
    try:
        return not wanted.isdisjoint(path.read_bytes().split(b"\0"))
    except OSError:  # another user's, or gone
        return False


if __name__ == "__main__":
    main()
