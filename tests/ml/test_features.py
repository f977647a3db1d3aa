from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ml import augment, extractors, features
from ml.data import Sample
from ml.decoding import Frame, Key
from ml.distributed import Group
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


def bf16_or_skip() -> None:
    try:
        features.resolve_precision("bf16", None, 1)
    except KennelError as error:
        pytest.skip(error.rule)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_no_bit_depends_on_the_number_of_cores(
    samples: list[Sample], backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    if precision == "bf16":
        bf16_or_skip()
    rows = []
    for cores in (1, 3):
        monkeypatch.setattr(extractors, "cpu_count", lambda cores=cores: cores)
        rows.append(extract(samples[::cores], backbone, cache=None, precision=precision, progress=False))
    assert np.array_equal(rows[0][::3], rows[1])


@pytest.mark.parametrize("extractor", [OpenVinoExtractor, TorchExtractor])
def test_bf16_is_close_to_f32_and_not_the_same(
    samples: list[Sample],
    backbone: LoadedBackbone,
    cache: FeatureCache,
    monkeypatch: pytest.MonkeyPatch,
    extractor: type,
) -> None:
    bf16_or_skip()
    monkeypatch.setattr(features, "extractor_type", lambda: extractor)
    plain, short = (
        extract(samples, backbone, cache=cache, precision=precision, progress=False)
        for precision in ("f32", "bf16")
    )
    assert short.dtype == np.float32
    assert not np.array_equal(plain, short)
    similarity = (plain * short).sum(1) / np.linalg.norm(plain, axis=1) / np.linalg.norm(short, axis=1)
    assert similarity.min() > 0.99


def test_pytorch_says_that_it_has_no_int8(
    samples: list[Sample], backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "extractor_type", lambda: TorchExtractor)
    with pytest.raises(KennelError) as caught:
        extract(samples, backbone, cache=None, precision="int8", calibration=samples, progress=False)
    assert caught.value.rule == "int8 features are computed by OpenVINO, on a processor"


def test_views_follow_the_plain_photo_and_each_is_computed_once(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache, passed: list[Key]
) -> None:
    plain = extract(samples, backbone, cache=cache, progress=False)
    two, three = (
        extract(samples, backbone, cache=cache, views=views, augment="light", seed=1, progress=False)
        for views in (2, 3)
    )
    assert three.shape == (len(samples), 4, backbone.width)
    assert np.array_equal(three[:, 0], plain)
    assert np.array_equal(three[:, :3], two)
    assert len(np.unique(three.reshape(-1, backbone.width), axis=0)) == 4 * len(samples)
    assert len(passed) == len(set(passed)) == 4 * len(samples)


def test_a_view_is_what_augment_makes_of_the_photo(
    samples: list[Sample], backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodings = []
    decode = features.images.decode
    monkeypatch.setattr(
        features.images, "decode", lambda content, **how: decodings.append(1) or decode(content, **how)
    )
    rows = extract(samples[:1], backbone, cache=None, views=2, augment="strong", seed=7, progress=False)
    assert len(decodings) == 1
    image = decode(samples[0].path.read_bytes())
    for view in range(3):
        pixels = augment.pixels(
            image, backbone.preprocessing, "strong", seed=7, photo=samples[0].sha256, view=view
        )
        expected = backbone.module(torch.from_numpy(pixels[None])).numpy()[0]
        np.testing.assert_allclose(rows[0, view], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_another_seed_or_augmentation_makes_other_views_of_the_same_plain_rows(
    samples: list[Sample], backbone: LoadedBackbone, cache: FeatureCache, passed: list[Key]
) -> None:
    rows = [
        extract(samples[:2], backbone, cache=cache, views=1, augment=how, seed=seed, progress=False)
        for how, seed in (("light", 0), ("light", 1), ("strong", 0))
    ]
    assert len({each[:, 1].tobytes() for each in rows}) == 3
    assert len(passed) == 2 + 3 * 2


@dataclasses.dataclass(frozen=True)
class Threads(Group):
    """Processes that train together, as threads."""

    meeting: threading.Barrier = dataclasses.field(default_factory=lambda: threading.Barrier(1))
    table: list[Any] = dataclasses.field(default_factory=list)

    def gather(self, value: Any) -> list[Any]:
        self.table[self.rank] = value
        self.meeting.wait(60)
        values = list(self.table)
        self.meeting.wait(60)
        return values


def in_threads(world: int, work: Any) -> list[Any]:
    meeting, table = threading.Barrier(world), [None] * world
    with ThreadPoolExecutor(world) as pool:
        futures = [
            pool.submit(work, Threads(rank, world, rank, meeting=meeting, table=table))
            for rank in range(world)
        ]
        return [future.exception() or future.result() for future in futures]


@pytest.mark.parametrize("shared", [True, False])
def test_processes_share_the_work_and_all_get_everything(
    samples: list[Sample], backbone: LoadedBackbone, tmp_path: Path, passed: list[Key], *, shared: bool
) -> None:
    """With one cache for all, and with one each, of which one holds something already."""
    alone = extract(samples, backbone, cache=None, views=1, augment="light", progress=False)
    caches = [FeatureCache(tmp_path / ("all" if shared else str(rank)), limit=10**9) for rank in range(3)]
    extract(samples[:4], backbone, cache=caches[1], progress=False)
    passed.clear()
    together = in_threads(
        3,
        lambda group: extract(
            samples,
            backbone,
            cache=caches[group.rank],
            views=1,
            augment="light",
            group=group,
            progress=False,
        ),
    )
    assert all(np.array_equal(rows, alone) for rows in together)
    assert len(passed) == len(set(passed)) == 2 * len(samples) - 4


def test_a_photo_that_one_process_cannot_read_ends_all_of_them(
    samples: list[Sample], backbone: LoadedBackbone
) -> None:
    samples[1].path.unlink()
    failures = in_threads(
        2, lambda group: extract(samples, backbone, cache=None, group=group, progress=False)
    )
    assert [type(failure) for failure in failures] == [KennelError, KennelError]
    assert {failure.received for failure in failures} == {f"{samples[1].path}: No such file or directory"}


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


@pytest.mark.parametrize("by_the_photos", [True, False])
def test_after_a_run_that_was_given_up_nothing_of_it_is_left(
    backbone: LoadedBackbone, *, by_the_photos: bool
) -> None:
    extractor = OpenVinoExtractor(backbone, "f32")
    side = backbone.preprocessing.crop
    keys = [(str(number), 0) for number in range(len(extractor._queue) + 1)]

    def frames(*, whole: bool = True) -> Iterator[tuple[Key, Frame]]:
        for key in keys:
            yield key, np.zeros((side, side, 3), np.uint8)
        if not whole:
            raise EOFError

    if by_the_photos:
        with pytest.raises(EOFError):
            list(extractor.run(frames(whole=False)))
    else:
        next(extractor.run(frames()))
    assert sorted(key for key, _ in extractor.run(frames())) == keys


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
