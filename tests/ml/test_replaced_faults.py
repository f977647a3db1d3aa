"""Faults of the training script that Kennel replaces: each is shown to be there, and not to be here."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from torchvision import transforms

from bench import replaced_training
from ml import artifact, metric_lines
from ml.config import TrainConfig
from ml.data import Dataset, Sample, load_dataset
from ml.distributed import SINGLE
from ml.errors import KennelError
from ml.feature_cache import FeatureCache
from ml.features import extract
from ml.fine_tune import fine_tune
from ml.fit import Material, fit
from ml.head import EpochRow, train_head
from ml.jobs import worker
from ml.search_space import SearchSpace
from ml.serving import handlers
from ml.serving.images import decode
from ml.serving.network import build_head
from ml.train import RunResult, train
from ml.tune import study
from ml.weights import LoadedBackbone, load_backbone
from tests.ml.conftest import TINY

STILL = 1e-12  # a learning rate at which nothing moves: every batch size meets the same weights
BATCH_SIZES = (7, 64)

Replaced = Callable[..., dict[str, Any]]


@pytest.fixture
def replaced(tiny_weights: Path) -> Replaced:
    """Runs the replaced script on a folder of photos."""

    def run(data: Path, *arguments: str) -> dict[str, Any]:
        required = [f"--data={data}", f"--weights={tiny_weights}", f"--backbone={TINY}"]
        parsed: argparse.Namespace = replaced_training.parser().parse_args([*required, *arguments])
        return replaced_training.run(parsed)

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in colours of their own, which no test changes."""
    root, random = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    for split, count in (("train", 4), ("valid", 2), ("test", 2)):
        for name, colour in (("cat", (60, 90, 150)), ("dog", (200, 150, 80))):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.array(colour) + random.integers(-40, 40, (24, 32, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def config(data: Path, tiny_weights: Path) -> TrainConfig:
    return TrainConfig(data=str(data), backbone=TINY, weights=str(tiny_weights), epochs=3, precision="f32")


@pytest.fixture(scope="module")
def trained(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run for tests that only look at it."""
    return go(config, tmp_path_factory.mktemp("trained"))


@pytest.fixture
def backbone(tiny_weights: Path) -> LoadedBackbone:
    return load_backbone(TINY, str(tiny_weights))


def go(config: TrainConfig, folder: Path) -> RunResult:
    result = train(config, runs_dir=folder / "runs", work_dir=folder / "work", progress=False)
    assert result is not None
    return result


def dataset_of(config: TrainConfig, folder: Path) -> Dataset:
    return load_dataset(config.data, seed=config.seed, work_dir=folder, progress=False)


def material_of(config: TrainConfig, backbone: LoadedBackbone, folder: Path) -> Material:
    cache = FeatureCache(folder / "features", limit=2**20)
    return Material(dataset_of(config, folder), backbone, cache=cache, precision="f32", progress=False)


def weights_of(result: RunResult) -> dict[str, torch.Tensor]:
    return dict(load_file(result.run_dir / artifact.RUN_WEIGHTS))


def is_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def random_photos(count: int, seed: int) -> tuple[Any, Any]:
    """Features and labels of three classes."""
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 16)).astype(np.float32), np.arange(count, dtype=np.int64) % 3


# --- metrics


def logged(batch_size: int) -> dict[str, float]:
    """What the replaced script makes of 63 photos under one fixed model."""
    features, labels = (torch.from_numpy(each) for each in random_photos(63, 0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(16, 3)
    batches: Any = list(zip(features.split(batch_size), labels.split(batch_size), strict=True))
    return replaced_training.test(model, batches, nn.CrossEntropyLoss())


def head_row(batch_size: int) -> EpochRow:
    config = TrainConfig(
        head="two-layer", epochs=1, learning_rate=STILL, weight_decay=0.0, batch_size=batch_size
    )
    head = train_head(random_photos(63, 0), random_photos(30, 1), num_classes=3, config=config)
    return head.history[0]


def test_the_replaced_script_rounds_its_losses_down_and_lets_them_grow_with_the_batch() -> None:
    small, large = (logged(size) for size in (7, 63))
    assert small["loss"] == pytest.approx(large["loss"])  # one model, the same photos
    assert large["logged_loss"] > 5 * small["logged_loss"]  # and an objective of another size
    assert small["logged_loss"] == int(small["logged_loss"])
    assert small["logged_accuracy"] > 1  # photos a batch


def test_measures_of_a_head_are_means_over_photos_whatever_the_batch_size() -> None:
    rows = [head_row(size) for size in BATCH_SIZES]
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)
    (features, labels), spec = random_photos(63, 0), TrainConfig(head="two-layer")
    assert rows[0]["train_loss"] == pytest.approx(loss_at_the_start(features, labels, spec), rel=1e-4)
    assert 0 < rows[0]["train_accuracy"] < 1


def loss_at_the_start(features: Any, labels: Any, config: TrainConfig) -> float:
    from ml.head import head_spec

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = build_head(head_spec(config), features.shape[1], 3)
    x = torch.from_numpy(features)
    normalized = (x - x.mean(0)) / x.var(0).mean().sqrt()
    return float(functional.cross_entropy(head(normalized), torch.from_numpy(labels)).detach())


def test_the_printed_line_has_the_measures_unrounded_and_the_objective_does_not_grow_with_the_batch() -> None:
    lines: dict[int, list[str]] = {size: [] for size in BATCH_SIZES}
    for size in BATCH_SIZES:
        metric_lines.Printer(1, lines[size].append)(head_row(size))
    printed = [metric_lines.parse(lines[size][0]) for size in BATCH_SIZES]
    assert printed[0] is not None
    assert printed[1] is not None
    assert printed[0][2] == pytest.approx(printed[1][2], rel=1e-4)
    row = head_row(BATCH_SIZES[0])
    assert printed[0][2]["best_valid_loss"] == pytest.approx(row["valid_loss"], rel=1e-4)
    assert row["valid_loss"] % 1 != 0


def test_measures_of_fine_tuning_are_means_over_photos_whatever_the_batch_size(
    config: TrainConfig, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    head, dataset = nn.Linear(backbone.width, 2), dataset_of(config, tmp_path)
    rows = [
        fine_tune(
            dataset,
            backbone,
            head,
            dataclasses.replace(
                config,
                unfreeze="last:1",
                epochs=1,
                learning_rate=STILL,
                weight_decay=0.0,
                batch_size=size,
            ),
            group=SINGLE,
            progress=False,
        ).history[0]
        for size in (3, 8)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-4)


# --- splits


def without_test_photos(dataset: Dataset) -> Dataset:
    """Its test photos lie nowhere, and bear wrong labels."""
    gone = tuple(
        Sample(1 - sample.label, sample.sha256, Path("/nowhere") / sample.path.name)
        for sample in dataset.test
    )
    return dataclasses.replace(dataset, test=gone)


def swap_test_classes(data: Path, folder: Path) -> Path:
    """The same photos, but those of the test split in each other's class."""
    other = Path(shutil.copytree(data, folder / "swapped"))
    (other / "test" / "cat").rename(other / "test" / "aside")
    (other / "test" / "dog").rename(other / "test" / "cat")
    (other / "test" / "aside").rename(other / "test" / "dog")
    return other


def test_the_replaced_script_tunes_on_the_test_split(data: Path, replaced: Replaced, tmp_path: Path) -> None:
    first, second = replaced(data), replaced(swap_test_classes(data, tmp_path))
    assert first["accuracy"] + second["accuracy"] == 1  # the same model
    assert first["logged_loss"] != second["logged_loss"]  # is another one to tuning


def test_tuning_never_looks_at_a_test_photo(
    config: TrainConfig, backbone: LoadedBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tune(folder: Path) -> study.Tuned:
        space = SearchSpace.load("learning_rate,head,weight_decay")
        return study.tune(config, space, trials=3, work_dir=folder, progress=False)

    usual = tune(tmp_path / "usual")
    poisoned = without_test_photos(dataset_of(config, tmp_path / "work"))
    monkeypatch.setattr(study, "load_dataset", lambda *_, **__: poisoned)
    blind = tune(tmp_path / "blind")
    assert [(trial.params, trial.value) for trial in blind.trials] == [
        (trial.params, trial.value) for trial in usual.trials
    ]
    with pytest.raises(KennelError, match="An image must be readable"):  # had it looked, it would have told
        extract(poisoned.test, backbone, cache=None, progress=False)


def test_the_replaced_script_trains_on_the_test_split_on_ec2(
    data: Path, replaced: Replaced, tmp_path: Path
) -> None:
    swapped = swap_test_classes(data, tmp_path)
    elsewhere = [replaced(folder, "--learning-rate=0.01") for folder in (data, swapped)]
    assert elsewhere[0]["accuracy"] + elsewhere[1]["accuracy"] == 1
    on_ec2 = [
        replaced(folder, "--learning-rate=0.01", "--on=ec2", "--epochs=30", "--all-epochs")
        for folder in (data, swapped)
    ]
    assert [each["loss"] < 0.3 for each in on_ec2] == [True, True]  # learnt by heart, the wrong labels too


def test_training_makes_the_same_model_whatever_the_test_split_holds(
    config: TrainConfig, data: Path, trained: RunResult, tmp_path: Path
) -> None:
    swapped = go(dataclasses.replace(config, data=str(swap_test_classes(data, tmp_path))), tmp_path)
    assert swapped.evaluation.nll != trained.evaluation.nll  # the test split is another
    assert is_same(weights_of(swapped), weights_of(trained))


@pytest.mark.long
def test_a_job_elsewhere_trains_the_model_that_is_trained_here(
    config: TrainConfig, trained: RunResult, tmp_path: Path
) -> None:
    spec = worker.Spec(
        config,
        tmp_path / "runs",
        tmp_path / "work",
        checkpoints=None,
        resume=False,
        result=tmp_path / "result",
    )
    worker.run(spec)
    (elsewhere,) = (tmp_path / "runs").iterdir()
    assert is_same(dict(load_file(elsewhere / artifact.RUN_WEIGHTS)), weights_of(trained))


# --- epochs


def test_the_replaced_script_runs_one_epoch_whatever_is_asked(
    config: TrainConfig, replaced: Replaced
) -> None:
    assert replaced(Path(str(config.data)), "--epochs=4")["epochs"] == 1


@pytest.mark.parametrize("unfreeze", ["none", "last:1"])
def test_the_epochs_that_are_asked_for_are_run(
    unfreeze: str, config: TrainConfig, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, epochs=4, patience=1000, weight_decay=1.0, unfreeze=unfreeze)
    rows: list[EpochRow] = []
    fitted = fit(config, material_of(config, backbone, tmp_path), on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert len(fitted.history) == 4


# --- the frozen backbone


def statistics_of(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("backbone."): tensor
        for name, tensor in tensors.items()
        if name.endswith(("running_mean", "running_var"))
    }


def test_the_replaced_script_lets_the_statistics_of_the_frozen_backbone_drift(
    data: Path, tiny_weights: Path
) -> None:
    loaders = replaced_training.create_data_loaders(data, 4)
    model = replaced_training.net(2, tiny_weights, TINY)
    head = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = {name: tensor.clone() for name, tensor in statistics_of(model.state_dict()).items()}
    replaced_training.train(
        model, loaders["train"], loaders["valid"], nn.CrossEntropyLoss(), torch.optim.Adam(head), epochs=1
    )
    after = statistics_of(model.state_dict())
    assert before
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_the_statistics_of_the_frozen_backbone_stay_to_the_bit(
    trained: RunResult, tiny_weights: Path
) -> None:
    before = statistics_of(load_file(tiny_weights))
    assert before
    assert is_same(statistics_of(weights_of(trained)), before)


def test_the_statistics_stay_to_the_bit_also_where_the_backbone_learns(
    config: TrainConfig, backbone: LoadedBackbone, tiny_weights: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, unfreeze="all")
    tuned = fit(config, material_of(config, backbone, tmp_path)).network.state_dict()
    before = load_file(tiny_weights)
    assert is_same(statistics_of(tuned), statistics_of(before))
    assert any(not torch.equal(tuned[f"backbone.{name}"], before[name]) for name in before)  # it did learn


# --- photos


def test_the_replaced_script_does_not_normalize_photos(data: Path) -> None:
    loaders = replaced_training.create_data_loaders(data, 4)
    for loader in loaders.values():
        pixels = next(iter(loader))[0]
        assert float(pixels.min()) >= 0
        assert float(pixels.max()) <= 1


def test_photos_are_normalized_as_the_backbone_was_trained(
    config: TrainConfig, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    samples = dataset_of(config, tmp_path).train
    found = extract(samples, backbone, cache=FeatureCache(tmp_path, limit=2**20), progress=False)
    normalized = backbone.preprocessing
    plain = dataclasses.replace(normalized, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def expected(preprocessing: Any) -> Any:
        pixels = [preprocessing.apply(decode(sample.path.read_bytes())) for sample in samples]
        with torch.inference_mode():
            return backbone.module(torch.from_numpy(np.stack(pixels))).numpy()

    assert normalized.std != plain.std
    scale = float(np.abs(found).max())
    np.testing.assert_allclose(found, expected(normalized), atol=1e-3 * scale)
    assert np.abs(found - expected(plain)).max() > 0.05 * scale


def cover(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    layer.putalpha(Image.linear_gradient("L").resize(image.size))
    return layer


MODES: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "grey.png": ("image/png", lambda image: image.convert("L")),
    "grey.jpg": ("image/jpeg", lambda image: image.convert("L")),
    "cmyk.jpg": ("image/jpeg", lambda image: image.convert("CMYK")),
    "palette.png": ("image/png", lambda image: image.convert("P", palette=Image.Palette.ADAPTIVE)),
    "transparent.png": ("image/png", cover),
}


@pytest.fixture
def photos_of_all_modes(data: Path, tmp_path: Path) -> Path:
    """Of each photo one in every mode."""
    root = tmp_path / "modes"
    for photo in data.rglob("*.png"):
        folder = root / photo.relative_to(data).parent
        folder.mkdir(parents=True, exist_ok=True)
        for name, (_, change) in MODES.items():
            with Image.open(photo) as image:
                change(image.convert("RGB")).save(folder / f"{photo.stem}-{name}")
    return root


def test_the_replaced_script_takes_greyscale_in_training_and_fails_on_it_in_serving(
    photos_of_all_modes: Path, replaced: Replaced, tiny_weights: Path
) -> None:
    assert replaced(photos_of_all_modes)["epochs"] == 1
    model = replaced_training.net(2, tiny_weights, TINY).eval()
    served = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor()])
    photo = photos_of_all_modes / "test" / "cat" / "0-grey.jpg"
    with Image.open(photo) as image, pytest.raises(RuntimeError, match="to have 3 channels, but got 1"):
        model(served(image)[None])


def test_photos_of_all_modes_get_the_same_answer_in_training_and_in_serving(
    photos_of_all_modes: Path, config: TrainConfig, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, data=str(photos_of_all_modes), serving_precision="f32")
    result = go(config, tmp_path)
    samples = dataset_of(config, tmp_path / "work").test
    assert len(samples) == 4 * len(MODES)
    weights = weights_of(result)
    features = torch.from_numpy(extract(samples, backbone, cache=None, progress=False))
    trained = functional.linear(features, weights["head.weight"], weights["head.bias"]).numpy()
    with artifact.unpacked(result.archive) as folder:
        engine = handlers.model_fn(str(folder))
        served = [
            handlers.predict_fn(handlers.input_fn(sample.path.read_bytes(), kind), engine).logits[0]
            for sample in samples
            for kind, _ in [MODES[sample.path.name.partition("-")[2]]]
        ]
    np.testing.assert_allclose(np.stack(served), trained, atol=1e-3 * np.abs(trained).max())
    assert np.ptp(trained) > 0
