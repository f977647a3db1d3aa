from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ml import distributed
from ml.config import TrainConfig
from ml.distributed import SINGLE, Group, joined
from ml.errors import KennelError
from ml.jobs import worker

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, sys
from pathlib import Path
from ml.distributed import joined
with joined() as group:
    group.barrier()
    told = {
        "share": group.share([0, 1, 2, 3, 4]),
        "gathered": group.gather(group.rank * 10),
        "told": group.broadcast(f"from {group.rank}"),
        "main": group.is_main,
    }
    Path(sys.argv[1], f"{group.rank}.json").write_text(json.dumps(told))
"""


def test_without_torchrun_a_process_is_a_group_of_its_own() -> None:
    with joined() as group:
        assert group == SINGLE
        assert group.is_main
        assert group.share([1, 2, 3]) == [1, 2, 3]
        assert group.gather("x") == ["x"]
        assert group.broadcast("x") == "x"
        group.barrier()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(KennelError) as caught, joined():
        pass
    assert caught.value.received == "2 processes, 1 GPUs"


def test_the_processor_is_kept_to_before_the_group_looks_for_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    seen = []

    @contextmanager
    def looking() -> Iterator[Group]:
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        raise KennelError("enough seen", None)
        yield SINGLE

    monkeypatch.setattr(distributed, "joined", looking)
    config = TrainConfig(device="cpu")
    with pytest.raises(KennelError, match="enough seen"):
        worker.run(worker.Spec(config, tmp_path, tmp_path, None, False, tmp_path / "result.json"))
    assert seen == [""]


def test_the_ranks_that_torchrun_starts_share_gather_and_hear_the_first(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(SCRIPT)
    subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(script), str(tmp_path),
        ],
        cwd=ROOT, check=True, capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == {"share": [0, 2, 4], "gathered": [0, 10], "told": "from 0", "main": True}
    assert second == {"share": [1, 3], "gathered": [0, 10], "told": "from 0", "main": False}
