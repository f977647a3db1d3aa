from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torchvision

from bench import replaced_training
from ops.paths import ROOT
from tests.conftest import MakePhotos
from tests.ml.conftest import TINY


def run(*arguments: object) -> dict[str, Any]:
    return replaced_training.run(replaced_training.parser().parse_args([str(each) for each in arguments]))


@pytest.fixture
def photos(make_photos: MakePhotos) -> Path:
    return make_photos()


@pytest.fixture
def asked(photos: Path, tiny_weights: Path) -> list[object]:
    return [f"--data={photos}", f"--weights={tiny_weights}", f"--backbone={TINY}", "--batch-size=4"]


def test_it_runs_as_a_program_and_tells_what_it_took(asked: list[object]) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "replaced_training.py", *map(str, asked)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["photos"] == {"train": 8, "valid": 4, "test": 4}
    assert all(len(passes) == 1 and passes[0] > 0 for passes in answer["seconds"].values())
    assert "Testing Loss: " in done.stderr


def test_only_the_new_head_learns(tiny_weights: Path) -> None:
    model = replaced_training.net(2, tiny_weights, TINY)
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(learning) == 4
    assert {name.split(".")[0] for name in learning} == {"fc"}


def test_the_head_has_two_layers_on_resnets_2048_features(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = torchvision.models.resnet50(weights=None).state_dict()
    monkeypatch.setattr(replaced_training, "load_file", lambda _: tensors)
    model: Any = replaced_training.net(133, Path("any"))
    shapes = [tuple(parameter.shape) for parameter in model.fc.parameters()]
    assert shapes == [(128, 2048), (128,), (133, 128), (133,)]


def test_asked_for_all_epochs_it_runs_them(asked: list[object]) -> None:
    assert run(*asked, "--epochs=2")["epochs"] == 1
    assert run(*asked, "--epochs=2", "--all-epochs")["epochs"] == 2


def test_what_is_true_stands_beside_what_it_logs(
    asked: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="replaced"):
        answer = run(*asked)
    assert f"Testing Loss: {answer['logged_loss']}" in caplog.messages
    assert answer["logged_loss"] == answer["loss"] * 4 // 1  # 4 photos in one batch
    assert answer["logged_accuracy"] == answer["accuracy"] * 4
