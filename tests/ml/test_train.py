from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml import artifact, precision
from ml import train as training
from ml.config import TrainConfig
from ml.data import DatasetError
from ml.errors import KennelError
from ml.fit import Fitted
from ml.train import RunResult, code_state, evaluate_artifact, train
from ml.weights import WeightsError
from tests.conftest import MakePhotos
from tests.ml.conftest import TINY

ROOT = Path(__file__).parents[2]
CODE = {"commit": "0" * 40, "dirty": False}


@pytest.fixture(autouse=True)
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed while the tests run must not make two archives differ."""
    monkeypatch.setattr(training, "code_state", lambda: CODE)


@pytest.fixture
def config(make_photos: MakePhotos, tiny_weights: Path) -> TrainConfig:
    """Served in f32, which is neither quantized nor measured with a stopwatch."""
    return TrainConfig(
        data=str(make_photos()),
        backbone=TINY,
        weights=str(tiny_weights),
        epochs=20,
        serving_precision="f32",
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in colours of their own, large and with metadata, as cameras leave it."""
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    for split, count in (("train", 4), ("valid", 2), ("test", 2)):
        for name, colour in (("cat", 40), ("dog", 200)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = (colour + rng.integers(-30, 30, (400, 600, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg", exif=exif)
    return root


@pytest.fixture(scope="module")
def trained(photos: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run for tests that only look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "code_state", lambda: CODE)
        config = TrainConfig(data=str(photos), backbone=TINY, weights=str(tiny_weights), epochs=20)
        return go(config, tmp_path_factory.mktemp("trained"))


def go(config: TrainConfig, folder: Path) -> RunResult:
    return train(config, runs_dir=folder / "runs", work_dir=folder / "work", progress=False)


def test_a_run_leaves_all_that_is_to_be_known_of_it(trained: RunResult, photos: Path) -> None:
    result = trained
    assert list(result.run_dir.parent.iterdir()) == [result.run_dir]
    assert {path.name for path in result.run_dir.iterdir()} == {
        "best.safetensors",
        "config.json",
        "golden.png",
        "manifest.json",
        "metrics.json",
        "model.tar.gz",
        "report.html",
    }
    resolved = TrainConfig.from_dict(json.loads((result.run_dir / "config.json").read_text()))
    assert resolved.weight_decay is not None
    assert resolved.data == str(photos)
    metrics = json.loads((result.run_dir / "metrics.json").read_text())
    assert metrics["seed"] == resolved.seed
    assert metrics["history"][metrics["best_epoch"] - 1]["valid_loss"] == min(
        row["valid_loss"] for row in metrics["history"]
    )
    assert metrics["evaluation"]["accuracy"] == result.evaluation.accuracy == 1.0
    assert metrics["archive_sha256"] == result.sha256 == artifact.sha256_of(result.archive)
    report = (result.run_dir / "report.html").read_text()
    epochs = len(metrics["history"])
    assert f"The weights are those of epoch {metrics['best_epoch']} of {epochs}." in report
    assert set(metrics["seconds"]) >= {"data", "features", "head", "archive", "proof"}


def test_the_manifest_tells_the_model_and_not_the_machine(trained: RunResult, photos: Path) -> None:
    result = trained
    manifest = artifact.inspect(result.archive)
    assert manifest == result.manifest
    assert manifest["classes"] == ["cat", "dog"]
    assert manifest["network"] == {"backbone": TINY, "head": {"kind": "linear"}, "num_classes": 2}
    assert manifest["data"]["counts"] == {"train": 8, "valid": 4, "test": 4}
    assert manifest["code"] == CODE
    assert "data" not in manifest["config"]
    assert manifest["metrics"]["accuracy"] == 1.0
    assert manifest["golden"]["probability"] > 0.5
    assert str(photos.parent) not in json.dumps(manifest)
    assert result.run_dir.name not in json.dumps(manifest)


@pytest.mark.long
def test_the_same_seed_gives_the_same_archive_also_in_another_process_and_from_packed_photos(
    config: TrainConfig, tmp_path: Path
) -> None:
    first = go(config, tmp_path)
    cached = go(config, tmp_path)
    assert cached.run_dir.name > first.run_dir.name
    assert cached.sha256 == first.sha256
    packed = shutil.make_archive(str(tmp_path / "renamed"), "zip", str(config.data))
    script = (
        "import json, sys; from pathlib import Path; from ml import train; from ml.config import TrainConfig\n"
        f"train.code_state = lambda: {CODE!r}\n"
        "config, folder = TrainConfig.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2])\n"
        "print(train.train(config, runs_dir=folder / 'r', work_dir=folder / 'w', progress=False).sha256)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            json.dumps({**config.to_dict(), "data": packed}),
            str(tmp_path / "apart"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == first.sha256


@pytest.mark.long
def test_a_measured_choice_is_kept_so_that_the_same_run_makes_the_same_archive(
    config: TrainConfig, tmp_path: Path
) -> None:
    measuring = dataclasses.replace(config, serving_precision="auto")
    first = go(measuring, tmp_path)
    assert go(measuring, tmp_path).sha256 == first.sha256
    engine = first.manifest["engine"]
    assert {each["precision"] for each in engine["candidates"]} == {"f32", "bf16", "int8"}
    assert [each["why"] for each in engine["candidates"] if each["precision"] == engine["precision"]]


def test_a_precision_that_the_machine_cannot_serve_stops_a_run_at_once(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "processor_flags", frozenset)
    with pytest.raises(KennelError) as caught:
        go(dataclasses.replace(config, serving_precision="bf16"), tmp_path)
    assert caught.value.rule == "serving_precision=bf16 needs a machine that can make and measure it"
    assert caught.value.received == "the processor has no instructions for bf16"


def test_the_replaced_head_trains_and_packs_too(config: TrainConfig, tmp_path: Path) -> None:
    replaced = TrainConfig.from_dict({**config.to_dict(), "head": "two-layer", "hidden": 16})
    result = go(replaced, tmp_path)
    assert result.manifest["network"]["head"] == {"kind": "two-layer", "hidden": 16}
    assert result.evaluation.accuracy == 1.0


def test_a_run_that_fails_leaves_nothing(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(archive: Path) -> None:
        assert archive.is_file()
        raise artifact.ArtifactError("A model must answer", "nonsense")

    monkeypatch.setattr(artifact, "verify", refuse)
    with pytest.raises(artifact.ArtifactError, match="A model must answer"):
        go(config, tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_a_killed_run_left_is_swept_and_what_a_live_one_does_is_not(
    config: TrainConfig, tmp_path: Path
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / "runs" / f".20260101T000000-000000.{dead.pid}.partial"
    live = tmp_path / "runs" / f".20260101T000000-000001.{os.getppid()}.partial"
    for folder in (left, live):
        folder.mkdir(parents=True)
        (folder / "model.tar.gz").touch()
    go(config, tmp_path)
    assert not left.exists()
    assert live.exists()


def test_the_golden_image_is_small_and_carries_no_metadata_of_the_photo(trained: RunResult) -> None:
    path = trained.run_dir / "golden.png"
    assert b"secret" not in path.read_bytes()
    with Image.open(path) as golden:
        assert min(golden.size) == trained.manifest["preprocessing"]["resize"]


def test_bad_data_stops_a_run_before_the_backbone_sees_an_image(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for photo in Path(str(config.data)).glob("train/cat/*"):
        photo.unlink()
    monkeypatch.setattr("ml.fit.extract", None)
    with pytest.raises(DatasetError):
        go(config, tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"batch_size": 65}, "A batch must not be larger than the training split"),
        ({"unfreeze": "last:99"}, "unfreeze=last:N must name no more blocks than the backbone has"),
    ],
)
def test_settings_that_do_not_fit_stop_a_run_before_the_backbone_sees_an_image(
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    rule: str,
) -> None:
    monkeypatch.setattr("ml.fit.extract", None)
    with pytest.raises(KennelError) as caught:
        go(TrainConfig.from_dict({**config.to_dict(), **settings}), tmp_path)
    assert caught.value.rule == rule


def test_an_epoch_after_which_the_loss_was_no_number_is_kept_as_one_without(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = training.fit

    def diverging(*arguments: Any, **named: Any) -> Fitted:
        fitted = fit(*arguments, **named)
        last = {**fitted.history[-1], "train_loss": math.nan, "valid_loss": math.inf}
        return dataclasses.replace(fitted, history=(*fitted.history, last))

    monkeypatch.setattr(training, "fit", diverging)
    metrics = json.loads((go(config, tmp_path).run_dir / "metrics.json").read_text())
    assert (metrics["history"][-1]["train_loss"], metrics["history"][-1]["valid_loss"]) == (None, None)
    assert metrics["history"][0]["train_loss"] > 0


def test_bad_weights_stop_a_run_before_the_data_is_looked_at(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "load_dataset", None)
    with pytest.raises(WeightsError, match="must match the backbone timm/test_vit"):
        go(TrainConfig.from_dict({**config.to_dict(), "backbone": "timm/test_vit"}), tmp_path)


def test_the_engine_that_serves_measures_what_training_measured(
    trained: RunResult, photos: Path, tmp_path: Path
) -> None:
    again = evaluate_artifact(trained.archive, photos, work_dir=tmp_path, progress=False)
    assert again.accuracy == trained.evaluation.accuracy
    assert again.nll == pytest.approx(trained.evaluation.nll, rel=1e-3)
    assert (
        evaluate_artifact(trained.archive, photos, split="train", work_dir=tmp_path, progress=False).count
        == 8
    )


def test_a_model_is_not_measured_on_classes_that_are_not_its_own(
    trained: RunResult, tmp_path: Path, make_photos: MakePhotos
) -> None:
    layout = {f"{split}/{name}": 2 for split in ("train", "valid", "test") for name in ("cat", "cow")}
    other = make_photos(layout, folder="other")
    with pytest.raises(KennelError) as caught:
        evaluate_artifact(trained.archive, other, work_dir=tmp_path, progress=False)
    assert caught.value.rule == "A model can be measured on the classes that it was trained on"
    assert "not in both: cow, dog" in str(caught.value.received)


def test_the_code_of_a_run_is_told_where_there_is_git_and_unknown_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = code_state()
    assert state["commit"] is None or len(str(state["commit"])) == 40
    monkeypatch.setenv("PATH", "")
    assert code_state() == {"commit": None, "dirty": False}


def test_a_commit_to_anything_else_leaves_the_code_of_a_run_as_it_was(tmp_path: Path) -> None:
    def commit(name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        for command in (("init", "-q"), ("add", name), (*author, "commit", "-q", "-m", name)):
            subprocess.run(["git", "-C", str(tmp_path), *command], check=True)

    commit("ml/head.py")
    state = code_state(tmp_path)
    assert len(str(state["commit"])) == 40
    commit("docs/guide.md")
    assert code_state(tmp_path) == state
    commit("lambda/guarded_fetch.py")
    assert code_state(tmp_path)["commit"] != state["commit"]
    (tmp_path / "ml/head.py").write_text("changed")
    assert code_state(tmp_path)["dirty"]


@pytest.mark.long
def test_ten_breeds_are_told_apart(dog_images: Path, tmp_path: Path) -> None:
    result = go(TrainConfig(data=str(dog_images)), tmp_path)
    assert result.evaluation.accuracy >= 0.945
    assert result.manifest["golden"]["probability"] > 0.99
