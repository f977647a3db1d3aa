"""Child processes that never outlive the cloud, not even when it is ended by kill -9.

Each child leads a process group of its own. On Linux the kernel kills it when its parent dies
(PR_SET_PDEATHSIG); its own children are ended through the group, by `Child` in ordinary life and by a
watchdog process when the cloud is killed. Those that leave the group, such as torchrun's workers, which lead sessions
of their own, are found by a mark in their environment, where the child was started with one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from localcloud._watchdog import kill_marked

_GUARD = Path(__file__).with_name("_guard.py")
_WATCHDOG = Path(__file__).with_name("_watchdog.py")

# The parent-death signal comes when the *thread* that started a child ends. So one starts them all, and stays.
_nursery = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nursery")


class Child:
    """A running program and its process group. Every method may be called from any thread."""

    def __init__(self, popen: subprocess.Popen[bytes], watchdog: _Watchdog, mark: str | None) -> None:
        self._popen = popen
        self._watchdog = watchdog
        self._mark = mark
        self._reaping = threading.RLock()
        self.pid = popen.pid
        self.stdout: IO[bytes] | None = popen.stdout  # only with stdout=subprocess.PIPE

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        with self._reaping:
            if self._popen.returncode is not None:
                return self._popen.returncode
            # WNOWAIT leaves the zombie in place, and with it the group's id: the sweep hits nothing else.
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self.send(signal.SIGKILL)
            if self._mark is not None:
                kill_marked({self._mark})
            self._watchdog.forget(self.pid)
            return self._popen.wait()

    def wait(self, timeout: float) -> int | None:
        """Exit code, or None when it still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        pause = 0.001  # s; waitpid has no timeout
        while (code := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return code

    def terminate(self, grace: float = 2.0) -> int:
        """SIGTERM to the group, SIGKILL after `grace` seconds; returns the exit code once it is gone."""
        if self.poll() is None and grace > 0:
            self.send(signal.SIGTERM)
            self.wait(grace)
        return self.kill()

    def kill(self) -> int:
        while (code := self.poll()) is None:
            self.send(signal.SIGKILL)
            self.wait(0.05)
        return code

    def send(self, number: signal.Signals, *, alone: bool = False) -> None:
        """Signal the whole group, or its leader alone, unless it is gone."""
        with self._reaping:
            if self._popen.returncode is None:
                # On macOS a group that holds only a zombie answers EPERM.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, number) if alone else os.killpg(self.pid, number)


class _Watchdog:
    """A process that kills the groups it was told of when its input ends, as it does when the cloud dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._input = -1  # file descriptor

    def remember(self, pid: int, mark: str | None) -> None:
        self._tell(f"+{pid}\n" + (f"*{mark}\n" if mark else ""))

    def forget(self, pid: int) -> None:
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                read_end, self._input = os.pipe()  # neither end is inherited by other children
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_WATCHDOG)],
                    stdin=read_end,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                )
                os.close(read_end)
            with contextlib.suppress(BrokenPipeError):  # ended by somebody: the parent-death signal is left
                os.write(self._input, line.encode())

    def close(self) -> None:
        """End the watchdog; groups it still knows are killed."""
        with self._lock:
            if self._process is not None:
                os.close(self._input)
                self._process.wait()
                self._process = None


_watchdog = _Watchdog()
atexit.register(_watchdog.close)


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str | None = None,
    stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    stderr: int | IO[bytes] | None = subprocess.STDOUT,
    marked: bool = False,
) -> Child:
    """Start `argv` with exactly `env`. A program that cannot be run exits with 1 and says why on stderr.

    `marked` adds one variable, by which descendants that leave the process group are found.
    """
    mark = f"KENNEL_CHILD={uuid.uuid4()}" if marked else None
    environment = {**env, **(dict([mark.split("=")]) if mark else {})}

    def start() -> Child:
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid())]
        popen = subprocess.Popen(
            [*guard, *argv],
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        _watchdog.remember(popen.pid, mark)
        return Child(popen, _watchdog, mark)

    return _nursery.submit(start).result()


def shutdown() -> None:
    """Kill every child that is still there. For the cloud's own orderly end."""
    _watchdog.close()
