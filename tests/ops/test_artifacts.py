from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops import artifacts
from ops.artifacts import Model
from ops.stage import Stage

DEPLOYED = Model("model-aaaaaaaaaaaa", "a" * 64, {"accuracy": 0.9})
CHOSEN = Model("model-bbbbbbbbbbbb", "b" * 64, {})
OUTPUTS: dict[str, Any] = {
    "model": {"name": DEPLOYED.name, "sha256": DEPLOYED.sha256, "metrics": DEPLOYED.metrics}
}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    monkeypatch.setattr(Stage, "model_file", tmp_path / "dev.model.tfvars.json")
    return Stage.of("dev")


def test_a_checkout_without_a_model_file_keeps_the_deployed_model(stage: Stage) -> None:
    assert artifacts.wanted(stage, OUTPUTS) == DEPLOYED


def test_a_checkout_without_a_model_file_deploys_none_where_none_is(stage: Stage) -> None:
    assert artifacts.wanted(stage, {}) is None


def test_a_model_file_comes_before_what_is_deployed(stage: Stage) -> None:
    artifacts.choose(stage, CHOSEN)
    assert artifacts.wanted(stage, OUTPUTS) == CHOSEN


def test_a_model_file_that_says_null_takes_the_model_away(stage: Stage) -> None:
    artifacts.choose(stage, None)
    assert artifacts.wanted(stage, OUTPUTS) is None
