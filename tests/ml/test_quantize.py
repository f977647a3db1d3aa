from __future__ import annotations

import hashlib
import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest

from ml import quantize
from ml.data import Sample
from ml.errors import KennelError
from ml.feature_cache import FeatureCache
from ml.features import extract
from ml.weights import LoadedBackbone, load_backbone
from tests.conftest import MakePhotos
from tests.ml.conftest import TINY

if importlib.util.find_spec("nncf") is None:  # importing it would change the class of all loggers
    pytest.skip("NNCF is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def backbone(tiny_weights: Path) -> LoadedBackbone:
    return load_backbone(TINY, str(tiny_weights))


@pytest.fixture
def samples(make_photos: MakePhotos) -> list[Sample]:
    paths = sorted(make_photos().glob("*/*/*"))
    return [Sample(0, hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in paths]


def names(samples: list[Sample]) -> list[str]:
    return [sample.sha256 for sample in samples]


def test_the_photos_to_calibrate_by_stay_mostly_the_same_when_some_are_added() -> None:
    many = [Sample(0, hashlib.sha256(bytes([n])).hexdigest(), Path(str(n))) for n in range(200)]
    before, after = quantize.chosen(many[:180]), quantize.chosen(many)
    assert len(before) == len(after) == quantize.PHOTOS
    assert names(quantize.chosen(many[:180][::-1])) == names(before)
    assert len(set(names(before)) & set(names(after))) >= quantize.PHOTOS * 3 // 4


def test_int8_without_photos_to_calibrate_by_is_refused(
    samples: list[Sample], backbone: LoadedBackbone
) -> None:
    with pytest.raises(KennelError) as caught:
        extract(samples, backbone, cache=None, precision="int8", progress=False)
    assert caught.value.rule == "int8 needs training photos to calibrate by"


def test_int8_is_quantized_once_quietly_and_close_to_f32(
    samples: list[Sample],
    backbone: LoadedBackbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    made = []
    quantized = quantize._quantized

    def counting(*arguments: object) -> tuple[bytes, bytes]:
        made.append(quantized(*arguments))
        return made[-1]

    monkeypatch.setattr(quantize, "_quantized", counting)
    cache = FeatureCache(tmp_path / "cache", limit=10**9)
    plain = extract(samples, backbone, cache=cache, progress=False)
    first = extract(
        samples[::2], backbone, cache=cache, precision="int8", calibration=samples, progress=False
    )
    rest = extract(samples, backbone, cache=cache, precision="int8", calibration=samples, progress=False)
    assert len(made) == 1
    assert np.array_equal(rest[::2], first)  # no bit depends on the photos around
    similarity = (plain * rest).sum(1) / np.linalg.norm(plain, axis=1) / np.linalg.norm(rest, axis=1)
    assert similarity.min() > 0.97
    assert not np.array_equal(plain, rest)
    # Without the cache it is made again, and the same to the bit.
    assert quantize.graph(backbone, quantize.chosen(samples), None) == made[0]
    assert capfd.readouterr() == ("", "")
    assert logging.getLoggerClass() is logging.Logger


def test_other_photos_to_calibrate_by_make_another_graph(
    samples: list[Sample], backbone: LoadedBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def quantized(_: object, pixels: np.ndarray) -> tuple[bytes, bytes]:
        made.append(pixels)
        return b"graph", bytes([len(made)])

    monkeypatch.setattr(quantize, "_quantized", quantized)
    cache = FeatureCache(tmp_path / "cache", limit=10**9)
    graphs = [quantize.graph(backbone, photos, cache) for photos in (samples[:3], samples[3:], samples[:3])]
    assert graphs == [(b"graph", b"\1"), (b"graph", b"\2"), (b"graph", b"\1")]
    assert [len(pixels) for pixels in made] == [3, len(samples) - 3]


def test_a_quantizer_that_fails_is_told_with_its_last_word(
    samples: list[Sample], backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        quantize, "ir", type("ir", (), {"convert": lambda *_, **__: None, "save": lambda *_: None})
    )
    with pytest.raises(KennelError, match="NNCF must be able to quantize the network") as caught:
        quantize.graph(backbone, samples, None)
    assert "f32.xml" in str(caught.value.received)
