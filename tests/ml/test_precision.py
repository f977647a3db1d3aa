from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ml import precision
from ml.errors import KennelError
from ml.features import resolve_precision
from ml.serving.preprocessing import Preprocessing
from ml.weights import LoadedBackbone, load_backbone
from tests.ml.conftest import TINY


@pytest.fixture(scope="module")
def backbone(tiny_weights: Path) -> LoadedBackbone:
    return load_backbone(TINY, str(tiny_weights))


def processor(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "processor_flags", lambda: frozenset(flags))


def photos_that_pay(backbone: LoadedBackbone) -> int:
    return int(precision.INT8_PAYS / precision.giga_macs(backbone)) + 1


def test_int8_is_chosen_where_the_processor_can_and_it_pays(
    backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    enough = photos_that_pay(backbone)
    processor(monkeypatch, "avx512_vnni", "avx512_bf16")
    assert resolve_precision("auto", backbone, enough) == "int8"
    assert resolve_precision("auto", backbone, enough // 2) == "bf16"


@pytest.mark.parametrize(
    ("flags", "expected"), [((), "f32"), (("avx512_bf16",), "bf16"), (("avx512_vnni",), "int8")]
)
def test_nothing_is_chosen_that_the_processor_lacks(
    backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], expected: str
) -> None:
    processor(monkeypatch, *flags)
    assert resolve_precision("auto", backbone, photos_that_pay(backbone)) == expected


def test_without_nncf_int8_is_not_chosen(backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "avx512_vnni")
    monkeypatch.setattr(precision, "_QUANTIZERS", ("no_such_package",))
    assert resolve_precision("auto", backbone, photos_that_pay(backbone)) == "f32"


def test_what_is_asked_for_is_taken(backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "avx512_bf16")
    assert [resolve_precision(name, backbone, 1) for name in ("f32", "bf16", "int8")] == [
        "f32",
        "bf16",
        "int8",
    ]


def test_bf16_that_the_processor_would_compute_otherwise_is_refused(
    backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch)
    with pytest.raises(KennelError, match="bf16 needs a processor that computes in it"):
        resolve_precision("bf16", backbone, 1)


def test_int8_on_a_gpu_or_without_nncf_is_refused_before_anything_starts(
    backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, "avx512_vnni")
    monkeypatch.setattr(precision, "_QUANTIZERS", ("no_such_package",))
    with pytest.raises(KennelError, match="int8 features are computed by OpenVINO and NNCF") as caught:
        resolve_precision("int8", backbone, 1)
    assert caught.value.received == "they are not installed"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(KennelError) as caught:
        resolve_precision("int8", backbone, 1)
    assert caught.value.received == "a CUDA device"


def test_an_unknown_precision_is_refused(backbone: LoadedBackbone) -> None:
    with pytest.raises(KennelError, match="precision must be one of auto, f32, bf16, int8"):
        resolve_precision("fp8", backbone, 1)


def test_multiplications_are_counted_without_doing_them() -> None:
    layer = torch.nn.Conv2d(3, 8, 3)
    network = torch.nn.Sequential(layer, torch.nn.Flatten(), torch.nn.Linear(8 * 62 * 62, 5))
    made = LoadedBackbone("x", network, 5, "", _sixty_four(), None)
    assert precision.giga_macs(made) == pytest.approx((62 * 62 * 8 * 27 + 8 * 62 * 62 * 5) / 1e9)
    assert layer.weight.device.type == "cpu"


def _sixty_four() -> Preprocessing:
    return Preprocessing(64, 64, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
