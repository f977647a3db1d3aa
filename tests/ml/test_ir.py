from __future__ import annotations

import subprocess
import sys

import pytest

from ml import ir
from ops.paths import ROOT

CONVERTS = """
import multiprocessing
multiprocessing.Process.start = lambda process: print("starts a process for", process._target.__module__)
from ml import ir
import torch
ir.convert(torch.nn.Conv2d(3, 2, 3), 16, batch=1)
"""


@pytest.mark.skipif(not ir.available(), reason="OpenVINO is not installed")
def test_nobody_is_told_that_a_network_is_converted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONVERTS],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
