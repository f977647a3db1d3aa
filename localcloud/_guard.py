"""Become another program, once the kernel has promised to kill it when the cloud dies.

Run as `python -I -S _guard.py <pid of the cloud> program argument...`. A step of its own (20 ms) because
Python code between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    cloud, argv = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != cloud:  # it died before the promise was made
        sys.exit(0)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the argument list comes from the cloud
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
