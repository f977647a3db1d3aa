"""Starts the processes of a training run by torchrun, and sees to it that they end together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

from ml.serving.processors import cpu_count

_ROOT = Path(__file__).resolve().parents[1]
_GRACE = 15  # seconds from SIGTERM to SIGKILL
_PR_SET_PDEATHSIG = 1  # of prctl(2)


def launch(
    spec_file: Path,
    *,
    processes: int,
    nodes: int = 1,
    node_rank: int = 0,
    master: tuple[str, int] | None = None,
    restarts: int = 0,
    module: str = "ml.jobs.worker",
) -> int:
    """Runs `python -m MODULE SPEC_FILE` so many times on each node, and returns 0 if all went well.

    With `restarts`, the death of one process starts all of them anew, so many times; they tell it by
    TORCHELASTIC_RESTART_COUNT. Several nodes find each other at `master`, the address and port of node 0.
    """
    command = [
        *(sys.executable, "-m", "ml.launch"),
        *_meeting(nodes, node_rank, master),
        f"--nproc-per-node={processes}",
        f"--max-restarts={restarts}",
        *("-m", module, str(spec_file)),
    ]
    environment = {
        # What torch's threads take turns at is not done faster by more of them than there are cores.
        "OMP_NUM_THREADS": str(max(1, cpu_count() // processes)),
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        **os.environ,
    }
    # A session of its own: Ctrl-C comes to this process alone, which passes it on once.
    torchrun = subprocess.Popen(command, cwd=_ROOT, env=environment, start_new_session=True)
    try:
        return torchrun.wait()
    except BaseException:
        torchrun.terminate()
        try:
            torchrun.wait(_GRACE)
        except subprocess.TimeoutExpired:
            torchrun.kill()
            torchrun.wait()
        raise


def _meeting(nodes: int, node_rank: int, master: tuple[str, int] | None) -> list[str]:
    if nodes == 1:
        return ["--standalone", "--local-addr=127.0.0.1"]
    if master is None:
        raise ValueError("several nodes need the address and the port of node 0")
    address, port = master
    return [
        f"--nnodes={nodes}",
        f"--node-rank={node_rank}",
        f"--master-addr={address}",
        f"--master-port={port}",
    ]


def die_with_parent(sign: signal.Signals = signal.SIGKILL) -> None:
    """The kernel sends `sign` to this process when the one that started it ends, however that ends. Torchrun
    starts each process in a session of its own, so that no signal to a group reaches them all."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(sign))


def main() -> None:
    """torchrun, which ends when its parent does, and leaves it to the processes to say what went wrong."""
    die_with_parent(signal.SIGTERM)
    import logging

    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.disable()  # of how it ends processes
    try:
        run(parse_args(sys.argv[1:]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        sys.exit(max(1, next(iter(error.failures.values())).exitcode))
    except SignalException as error:
        sys.exit(128 + error.sigval)


if __name__ == "__main__":
    main()
