from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml import features
from ml.data import Sample
from ml.decoding import Frame, Key
from ml.errors import KennelError
from ml.extractors import OpenVinoExtractor, TorchExtractor
from ml.feature_cache import FeatureCache
from ml.features import extract
from ml.weights import LoadedBackbone, load_backbone
from tests.conftest import MakePhotos
from tests.ml.conftest import TINY


@pytest.fixture(scope="module")
def backbone(tiny_weights: Path) -> LoadedBackbone:
    return load_backbone(TINY, str(tiny_weights))


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache", limit=10**9)


@pytest.fixture
def samples(make_photos: MakePhotos) -> list[Sample]:
    paths = sorted(make_photos().glob("*/*/*"))
    return [Sample(0, hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in paths]


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """The views of images that went through the backbone."""
    seen: list[Key] = []
    run = OpenVinoExtractor.run

    def counting(
        self: OpenVinoExtractor, frames: Iterator[tuple[Key, Frame]]
    ) -> Iterator[tuple[Key, features.Features]]:
        def counted() -> Iterator[tuple[Key, Frame]]:
            for key, frame in frames:
                seen.append(key)
                yield key, frame

        return run(self, counted())

    monkeypatch.setattr(OpenVinoExtractor, "run", counting)
    return seen


def test_every_image_goes_through_the_backbone_once_ever(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache, passed: list[Key]
) -> None:
    first = extract([*samples, *samples], backbone, cache=cache, progress=False)
    again = extract(samples, backbone, cache=cache, progress=False)
    assert first.shape == (2 * len(samples), backbone.width)
    assert np.array_equal(first, np.concatenate([again, again]))
    assert sorted(passed) == sorted((sample.sha256, 0) for sample in samples)


def test_features_come_in_the_order_of_the_samples(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache
) -> None:
    forward = extract(samples, backbone, cache=cache, progress=False)
    assert np.array_equal(extract(samples[::-1], backbone, cache=cache, progress=False), forward[::-1])
    assert len(np.unique(forward, axis=0)) == len(samples)


def test_no_bit_depends_on_the_images_around(
    samples: list[Sample], backbone: LoadedBackbone, tmp_path: Path
) -> None:
    together = extract(samples, backbone, cache=FeatureCache(tmp_path / "a", limit=10**9), progress=False)
    for index in (0, 5, len(samples) - 1):
        alone = FeatureCache(tmp_path / f"{index}", limit=10**9)
        assert np.array_equal(
            extract([samples[index]], backbone, cache=alone, progress=False)[0], together[index]
        )


def test_an_interrupted_run_goes_on_where_it_stopped(
    samples: list[Sample],
    backbone: LoadedBackbone,
    cache: FeatureCache,
    passed: list[Key],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(
        extractor: OpenVinoExtractor, frames: Iterator[tuple[Key, Frame]]
    ) -> Iterator[tuple[Key, features.Features]]:
        for number, row in enumerate(counting(extractor, frames)):
            if number == 3:
                raise KeyboardInterrupt
            yield row

    counting = OpenVinoExtractor.run
    with monkeypatch.context() as patch:
        patch.setattr(OpenVinoExtractor, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(samples, backbone, cache=cache, progress=False)
    passed.clear()
    extract(samples, backbone, cache=cache, progress=False)
    assert len(passed) == len(samples) - 3


def test_a_damaged_cache_is_made_good(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache
) -> None:
    before = extract(samples, backbone, cache=cache, progress=False)
    for shard in cache.folder.glob("*/*"):
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    assert np.array_equal(extract(samples, backbone, cache=cache, progress=False), before)


def test_a_cache_without_room_changes_nothing_but_the_time(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache
) -> None:
    small = FeatureCache(cache.folder, limit=0)
    first = extract(samples, backbone, cache=small, progress=False)
    assert list(cache.folder.glob("*/*")) == []
    assert np.array_equal(extract(samples, backbone, cache=small, progress=False), first)


def test_pytorch_gives_the_same_features_but_for_the_last_bits(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = extract(samples, backbone, cache=cache, progress=False)
    monkeypatch.setattr(features, "extractor_type", lambda: TorchExtractor)
    plain = extract(samples, backbone, cache=cache, progress=False)
    assert len(list(cache.folder.iterdir())) == 2
    np.testing.assert_allclose(plain, fast, rtol=1e-3, atol=1e-4 * np.abs(fast).max())


def test_a_photo_that_changes_during_the_run_is_noticed(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache
) -> None:
    samples[2].path.write_bytes(samples[3].path.read_bytes())
    with pytest.raises(KennelError) as caught:
        extract(samples, backbone, cache=cache, progress=False)
    assert caught.value.rule == "Images must stay as they are while a run goes on"
    assert str(samples[2].path) in str(caught.value.received)


def test_a_photo_that_has_gone_is_named(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache
) -> None:
    samples[2].path.unlink()
    with pytest.raises(KennelError, match="An image must be readable") as caught:
        extract(samples, backbone, cache=cache, progress=False)
    assert str(samples[2].path) in str(caught.value.received)


def test_a_photo_that_cannot_be_decoded_is_named(
    backbone: LoadedBackbone, cache: FeatureCache, tmp_path: Path
) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(KennelError, match=r"odd.jpg: The bytes are no image"):
        extract(
            [Sample(0, hashlib.sha256(b"no picture").hexdigest(), path)],
            backbone,
            cache=cache,
            progress=False,
        )
