"""A stage that scales to zero: deployed, asked, down to no copy, refused in plain words, back, updated, destroyed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project_copy import plain_environment, project_copy

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform, pytest.mark.timeout(900)]

SPEED = "20"  # a quarter of an hour without requests, after which the last copy goes, lasts three quarters of a minute
VARIABLES = """
stage = "local"
endpoint = {
  image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:local"
}
autoscaling = {
  scale_to_zero             = true
  min_instances             = 0
  max_instances             = 2
  scale_in_cooldown_seconds = 0
}
artifacts = {
  force_destroy   = true
  lifecycle_rules = false
}
"""


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    with project_copy(tmp_path / "kennel", VARIABLES) as root:
        yield root


def test_a_stage_scales_to_zero_and_back_and_leaves_nothing(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.scale_to_zero_driver"],
        cwd=copy, env=plain_environment() | {"LOCALCLOUD_SCALING_SPEED": SPEED},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)  # what went on, where the test fails
    steps = {line["step"]: line for line in map(json.loads, done.stdout.splitlines())}

    assert steps["deployed"]["lines"]["golden photo"] == "answered right"
    assert steps["deployed"]["lines"]["scaling"] == "0 to 2 copies, target 5"
    assert steps["asked"]["error"] is None

    assert steps["at zero"]["lines"]["component"] == "kennel-local-classifier: InService, 0 of 0 copies"
    assert steps["at zero"]["lines"]["instances"] == "0 of 0 (primary)"
    assert steps["at zero"]["wrong"] == []
    assert steps["planned again"]["changes"] is False
    assert "has scaled to zero" in steps["asked at zero"]["error"]
    assert "send it again" in steps["asked at zero"]["error"]
    assert steps["asked again"] == steps["asked"] | {"step": "asked again"}

    assert steps["updated"]["moved"]
    assert steps["updated"]["lines"]["component"].startswith("kennel-local-classifier: InService")
    assert steps["destroyed"] == {"step": "destroyed", "swept": [], "left": []}
