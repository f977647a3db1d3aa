"""Children end with the cloud, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud import processes

REPOSITORY = Path(__file__).parents[2]
ENV = {"PATH": os.environ["PATH"]}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def poll(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def read_pid(path: Path) -> int:
    assert poll(lambda: path.exists() and path.read_text().endswith("\n")), f"{path} was never written"
    return int(path.read_text())


def test_a_child_sees_only_the_environment_it_was_given() -> None:
    child = processes.spawn(["env"], env={**ENV, "A": "1"}, stdout=subprocess.PIPE)
    assert child.stdout is not None
    lines = child.stdout.read().decode().split()
    child.stdout.close()
    assert child.wait(10) == 0
    assert {line.split("=")[0] for line in lines} <= {"PATH", "A", "LC_CTYPE"}


def test_a_program_that_does_not_exist_exits_and_says_so() -> None:
    child = processes.spawn(["/nowhere/at-all"], env=ENV, stdout=subprocess.PIPE)
    assert child.stdout is not None
    said = child.stdout.read()
    child.stdout.close()
    assert child.wait(10) == 1
    assert said == b"cannot run /nowhere/at-all: No such file or directory\n"


def test_terminate_lets_a_child_finish_its_own_way() -> None:
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"
    child = processes.spawn(["sh", "-c", script], env=ENV, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert child.terminate(grace=10) == 7
    child.stdout.close()


def test_terminate_kills_a_child_that_does_not_listen() -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.02; done"
    child = processes.spawn(["sh", "-c", script], env=ENV, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert child.terminate(grace=0.1) == -signal.SIGKILL
    child.stdout.close()


def test_what_a_child_leaves_behind_in_its_group_ends_with_it(tmp_path: Path) -> None:
    child = processes.spawn(["sh", "-c", f"sleep 300 & echo $! > {tmp_path}/pid"], env=ENV)
    grandchild = read_pid(tmp_path / "pid")
    assert child.wait(10) == 0
    assert poll(lambda: not alive(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_marked_child_leaves_behind_outside_of_its_group_ends_with_it(tmp_path: Path) -> None:
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 300' & sleep 300"
    child = processes.spawn(["sh", "-c", script], env=ENV, marked=True)
    escaped = read_pid(tmp_path / "pid")
    assert os.getpgid(escaped) != child.pid
    child.kill()
    assert poll(lambda: not alive(escaped))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_and_their_children_end_when_the_cloud_is_killed(tmp_path: Path) -> None:
    cloud = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time\n"
            "from localcloud import processes\n"
            f"script = 'echo $$ > {tmp_path}/child; sleep 300 & echo $! > {tmp_path}/grandchild; '\n"
            f"script += 'setsid sh -c \"echo \\\\$\\\\$ > {tmp_path}/escaped; exec sleep 300\" & wait'\n"
            "processes.spawn(['sh', '-c', script], env=dict(os.environ), marked=True)\n"
            "time.sleep(300)\n",
        ],
        cwd=REPOSITORY,
    )
    try:
        pids = [read_pid(tmp_path / name) for name in ("child", "grandchild", "escaped")]
        assert all(map(alive, pids))
    finally:
        cloud.kill()
        cloud.wait()
    assert poll(lambda: not any(map(alive, pids))), [pid for pid in pids if alive(pid)]
