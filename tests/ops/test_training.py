from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.errors import KennelError
from ml.jobs import worker
from ops import training
from ops.stage import Stage

LOCAL = Stage.of("local")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("seed", "1", 1), ("learning_rate", "0.01", 0.01), ("epochs", "many", "many"), ("data", "7", "7")],
)
def test_a_flags_text_becomes_the_number_that_the_setting_is(name: str, text: str, value: Any) -> None:
    assert training.from_text(name, text) == value


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"seed": "1.5"}, "seed must be a whole number"),
        ({"epochs": "0"}, "epochs must be a whole number"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"head": "three-layer"}, "head must be"),
        ({"backbone": "resnet50"}, "backbone must be"),
        ({"weights": "/nowhere/weights.bin"}, "weights must be"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_told_before_anything_starts(
    given: dict[str, Any], rule: str
) -> None:
    with pytest.raises(KennelError) as caught:
        training.train(LOCAL, given)
    assert caught.value.rule.startswith(rule)
    assert caught.value.received is not None
    assert caught.value.remedy


def test_an_unknown_key_of_the_configuration_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"learning_rat": 0.1}))
    with pytest.raises(KennelError, match="learning_rat"):
        training.train(LOCAL, {}, str(file))


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_a_configuration_file_that_is_none_is_refused(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(KennelError, match="--config"):
        training.train(LOCAL, {}, str(file))


def test_a_split_that_is_none_is_refused() -> None:
    with pytest.raises(KennelError, match="A split is one of train, valid, test"):
        list(training.evaluate(LOCAL, None, None, "validation"))


def test_an_archive_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KennelError, match="An archive to evaluate"):
        list(training.evaluate(LOCAL, str(tmp_path / "absent.tar.gz"), None, "test"))


@pytest.mark.parametrize(("epochs", "told"), [(1, "with --resume goes on"), (0, "")])
def test_ctrl_c_tells_of_resume_where_there_is_something_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, told: str
) -> None:
    def interrupted(spec: worker.Spec) -> None:
        assert spec.checkpoints is not None
        spec.checkpoints.mkdir(parents=True)
        for number in range(epochs):
            (spec.checkpoints / str(number)).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "WORK", tmp_path)
    monkeypatch.setattr(worker, "run", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        training.train(LOCAL, {"unfreeze": "last:1"})
    assert told in str(caught.value)
    assert bool(told) == bool(str(caught.value))


def test_what_a_killed_run_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".part-{dead.pid}-left").mkdir()
    seen = []

    def killed(spec: worker.Spec) -> None:
        seen.append([path.name for path in tmp_path.iterdir() if path != spec.result.parent])
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "WORK", tmp_path)
    monkeypatch.setattr(worker, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        training.train(LOCAL, {})
    assert seen == [[]]
