from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.launch import launch

ROOT = Path(__file__).parents[2]

# One of the processes: tells of itself in a file, and then does as the specification says.
WORKER = """
import os, sys, time
from pathlib import Path
from ml.distributed import joined

folder = Path(sys.argv[1]).parent
restart = os.environ["TORCHELASTIC_RESTART_COUNT"]
with joined() as group:
    ranks = group.gather(group.rank)
    told = f"{ranks} {group.rank} {os.environ['OMP_NUM_THREADS']} {os.getpid()}"
    part = folder / f"part-{os.getpid()}"
    part.write_text(told)
    part.replace(folder / f"rank-{group.rank}.{restart}")
    what = Path(sys.argv[1]).read_text()
    if what == "die" and group.rank == 1 and restart == "0":
        os.kill(os.getpid(), 9)
    if what == "fail" and group.rank == 1:
        sys.exit("error: it does not please")
    if what == "wait":
        time.sleep(300)
    group.barrier()
"""

LAUNCHER = """
import sys
from pathlib import Path
from ml.launch import launch

sys.exit(launch(Path(sys.argv[1]), module="kennel_test_worker", **eval(sys.argv[2])))
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    (tmp_path / "kennel_test_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def write(what: str) -> Path:
        (tmp_path / "spec").write_text(what)
        return tmp_path / "spec"

    return write


def run(spec: Path, **arguments: int) -> int:
    return launch(spec, processes=2, module="kennel_test_worker", **arguments)


def told(folder: Path, restart: int = 0) -> list[list[str]]:
    """Of each rank: its rank, its threads and its number as a process."""
    found = [(folder / f"rank-{rank}.{restart}").read_text() for rank in (0, 1)]
    assert all(each.startswith("[0, 1] ") for each in found)
    return [each.removeprefix("[0, 1] ").split() for each in found]


def test_the_processes_find_each_other_share_the_cores_and_make_no_noise(
    spec: Callable[[str], Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ml.launch.cpu_count", lambda: 6)
    assert run(spec("work")) == 0
    assert [each[:2] for each in told(tmp_path)] == [["0", "3"], ["1", "3"]]
    assert capfd.readouterr() == ("", "")


def test_what_a_process_says_of_its_failure_is_all_that_is_said(
    spec: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(spec("fail")) == 1
    lines = capfd.readouterr().err.splitlines()
    assert "error: it does not please" in lines
    assert set(lines) <= {"error: it does not please", "error: another process of this training has ended"}


def test_when_a_process_dies_all_are_started_anew(spec: Callable[[str], Path], tmp_path: Path) -> None:
    assert run(spec("die"), restarts=1) == 0
    before, after = told(tmp_path), told(tmp_path, 1)
    assert {each[2] for each in before}.isdisjoint(each[2] for each in after)


@pytest.mark.long
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_launcher_ends_no_process_is_left(
    sign: signal.Signals, spec: Callable[[str], Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", LAUNCHER, str(spec("wait")), "{'processes': 2}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as launcher:
        until(lambda: (tmp_path / "rank-0.0").exists() and (tmp_path / "rank-1.0").exists(), "start")
        processes = [int(each[2]) for each in told(tmp_path)]
        launcher.send_signal(sign)
        assert launcher.wait(60) != 0
        until(lambda: not any(alive(process) for process in processes), "end")


@pytest.mark.long
def test_several_nodes_meet_at_the_first(spec: Callable[[str], Path], tmp_path: Path) -> None:
    meeting = {"processes": 1, "nodes": 2, "master": ("127.0.0.1", free_port())}
    commands = [
        [sys.executable, "-c", LAUNCHER, str(spec("work")), repr({**meeting, "node_rank": rank})]
        for rank in (0, 1)
    ]
    nodes = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [each.wait(120) for each in nodes] == [0, 0]
    assert [each[0] for each in told(tmp_path)] == ["0", "1"]


def test_several_nodes_need_a_place_to_meet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="several nodes need the address and the port of node 0"):
        launch(tmp_path, processes=1, nodes=2)


def until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
