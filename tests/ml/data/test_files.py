from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ml.data.files import building


def test_what_a_killed_process_left_is_swept_and_what_a_live_one_does_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".part-{dead.pid}-abc"
    live = tmp_path / f".part-{os.getppid()}-abc"
    for part in (left, live):
        (part / "folder").mkdir(parents=True)
    with building(tmp_path / "target") as folder:
        assert folder is not None
        assert folder.parent.name.startswith(f".part-{os.getpid()}-")
    assert sorted(tmp_path.iterdir()) == [live, tmp_path / "target"]
