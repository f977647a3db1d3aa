from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.config import TrainConfig
from ml.data import Dataset, load_dataset
from ml.errors import KennelError
from ml.feature_cache import FeatureCache
from ml.fit import Material, fit
from ml.weights import LoadedBackbone, load_backbone
from tests.conftest import MakePhotos
from tests.ml.conftest import TINY


@pytest.fixture
def config(make_photos: MakePhotos, tiny_weights: Path) -> TrainConfig:
    return TrainConfig(
        data=str(make_photos()), backbone=TINY, weights=str(tiny_weights), epochs=2, precision="f32"
    )


@pytest.fixture
def backbone(tiny_weights: Path) -> LoadedBackbone:
    return load_backbone(TINY, str(tiny_weights))


@pytest.fixture
def dataset(config: TrainConfig, tmp_path: Path) -> Dataset:
    return load_dataset(config.data, seed=0, work_dir=tmp_path, progress=False)


def material(dataset: Dataset, backbone: LoadedBackbone, folder: Path) -> Material:
    cache = FeatureCache(folder / "features", limit=2**30)
    return Material(dataset, backbone, cache=cache, precision="f32", progress=False)


def test_no_test_photo_is_looked_at(
    config: TrainConfig, dataset: Dataset, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    gone = tuple(dataclasses.replace(sample, path=tmp_path / "gone.jpg") for sample in dataset.test)
    fitted = fit(config, material(dataclasses.replace(dataset, test=gone), backbone, tmp_path))
    assert len(fitted.history) == 2


def test_views_follow_their_photo(
    config: TrainConfig, dataset: Dataset, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    photos = material(dataset, backbone, tmp_path)
    plain = photos.features("train")
    viewed = photos.features("train", augment="light", views=2)
    assert viewed.shape == (3 * len(plain), plain.shape[1])
    np.testing.assert_array_equal(viewed[::3], plain)
    assert list(photos.labels("train", 2)[::3]) == list(photos.labels("train"))
    assert photos.features("train", augment="light") is plain  # an unfrozen backbone augments by itself


@pytest.mark.parametrize("size", [63, 65, 1000])
def test_a_batch_larger_than_the_training_split_is_refused(
    size: int, config: TrainConfig, dataset: Dataset, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    assert len(dataset.train) < 63
    with pytest.raises(KennelError) as caught:
        fit(dataclasses.replace(config, batch_size=size), material(dataset, backbone, tmp_path))
    assert caught.value.rule == "A batch must not be larger than the training split"
    assert str(len(dataset.train)) in str(caught.value.received)


def test_the_default_batch_fits_any_data(
    config: TrainConfig, dataset: Dataset, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    assert config.batch_size > len(dataset.train)
    fit(config, material(dataset, backbone, tmp_path))


def test_fine_tuning_starts_from_a_trained_head_and_changes_the_backbone(
    config: TrainConfig, dataset: Dataset, backbone: LoadedBackbone, tmp_path: Path
) -> None:
    photos = material(dataset, backbone, tmp_path)
    frozen = fit(dataclasses.replace(config, epochs=None), photos)
    told: list[dict[str, float]] = []
    tuned = fit(dataclasses.replace(config, unfreeze="last:1", epochs=1), photos, on_epoch=told.append)
    assert [row["epoch"] for row in told] == [1]
    assert tuned.best_loss <= 2 * frozen.best_loss + 0.1  # a random head would be at log(classes)
    before, after = backbone.module.state_dict(), tuned.backbone.module.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("running_" in name for name in changed)
    assert tuned.network.backbone is tuned.backbone.module
