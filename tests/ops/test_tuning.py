from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.errors import KennelError
from ops import training, tuning
from ops.stage import Stage

LOCAL = Stage.of("local")


@pytest.mark.parametrize(
    ("given", "more", "rule"),
    [
        ({"epochs": "0"}, {}, "epochs must be a whole number"),
        ({}, {"search": "learning_rte"}, "What is searched is a setting that can be"),
        ({}, {"space_file": "/nowhere/space.json"}, "The search space is a readable JSON file"),
        ({"head": "linear"}, {"search": "head,batch_size"}, "A setting is searched, or it is given"),
        ({"precision": "int8"}, {"search": "unfreeze"}, "int8 is for frozen backbones"),
        ({}, {"trials": 0}, "--trials is a whole number from 1."),
    ],
)
def test_what_breaks_a_rule_is_told_before_anything_starts(
    given: dict[str, Any], more: dict[str, Any], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "WORK", tmp_path)
    with pytest.raises(KennelError) as caught:
        tuning.tune(LOCAL, given, **{"trials": 3, **more})
    assert caught.value.rule == rule or caught.value.rule.startswith(rule)
    assert caught.value.received is not None
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_tuning_leaves_a_configuration_that_training_takes(
    make_photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "WORK", tmp_path / "work")
    said: list[str] = []
    given = {"data": str(make_photos()), "head": "linear", "epochs": "3", "seed": None}
    tuned = tuning.tune(LOCAL, given, trials=3, study="breeds", say=said.append)
    assert tuned.config_file == tmp_path / "work" / "tune" / "breeds" / "best.json"
    config = training.configuration({}, str(tuned.config_file))
    assert (config.data, config.head, config.epochs) == (given["data"], "linear", 3)
    assert config.weight_decay is not None
    assert json.loads(tuned.config_file.read_text())["learning_rate"] == config.learning_rate
    assert tuned.report.is_file()
    assert tuned.best_loss > 0
    assert said[-1].startswith("Trial ")
    assert "--trials 6 goes on from here" in said[-1]

    tuning.tune(LOCAL, given, trials=2, study="breeds", say=said.append)
    assert said[-1].endswith("The study had more than the 2 asked for already.")
