from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ml.distributed import SINGLE, joined

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
