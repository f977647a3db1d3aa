from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ml.serving.network import HeadSpec, NetworkError, NetworkSpec, build, build_backbone, build_head


@pytest.mark.parametrize(
    "description",
    [
        {"backbone": "timm/test_resnet", "head": {"kind": "linear"}, "num_classes": 3},
        {"backbone": "torchvision/resnet50", "head": {"kind": "two-layer", "hidden": 8}, "num_classes": 133},
    ],
)
def test_a_description_survives_the_way_through_the_manifest(description: dict[str, Any]) -> None:
    assert NetworkSpec.from_dict(description).to_dict() == description


@pytest.mark.parametrize(
    "description",
    [
        {"backbone": "timm/test_resnet", "num_classes": 3},
        {"backbone": "timm/test_resnet", "head": {"kind": "linear", "width": 3}, "num_classes": 3},
        {"backbone": "timm/test_resnet", "head": {"kind": "linear"}, "num_classes": 3, "dropout": 0.1},
    ],
)
def test_a_description_with_too_little_or_too_much_is_refused(description: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="backbone, head and num_classes, and nothing else"):
        NetworkSpec.from_dict(description)


@pytest.mark.parametrize(("kind", "hidden"), [("linear", 8), ("two-layer", None)])
def test_hidden_belongs_to_a_two_layer_head_only(kind: Any, hidden: int | None) -> None:
    with pytest.raises(NetworkError, match="hidden belongs to a two-layer head"):
        HeadSpec(kind, hidden)


@pytest.mark.parametrize(
    "name",
    [
        "timm/test_resnet",
        "timm/test_vit",
        "torchvision/resnet18",
        "torchvision/mobilenet_v3_small",
        "torchvision/vit_b_16",
    ],
)
def test_a_backbone_gives_as_many_features_as_it_says(name: str) -> None:
    backbone = build_backbone(name)
    size = 160 if name.startswith("timm/") else 224
    with torch.inference_mode():
        features = backbone.module.eval()(torch.zeros(2, 3, size, size))
    assert features.shape == (2, backbone.width)


def test_the_replaced_head_has_two_linear_layers() -> None:
    layers = [
        layer
        for layer in build_head(HeadSpec("two-layer", 16), 32, 5).modules()
        if isinstance(layer, nn.Linear)
    ]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(32, 16), (16, 5)]


def test_a_network_gives_one_score_a_class_and_is_in_evaluation_mode() -> None:
    network = build(NetworkSpec("timm/test_resnet", HeadSpec("two-layer", 16), 5))
    assert not network.training
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 160, 160)).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet5", "timm has no image classifier named 'resnet5'; did you mean timm/resnet50"),
        ("timm/resnet50.no_such_tag", "timm cannot build 'resnet50.no_such_tag'"),
        ("torchvision/fasterrcnn_resnet50_fpn", "torchvision has no image classifier named"),
        ("torchvision/squeezenet1_0", "does not end in a linear classifier"),
        ("torchvision/inception_v3", "timm has the same network as timm/inception_v3"),
        ("keras/resnet50", "a backbone is timm/<name> or torchvision/<name>"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_refused(name: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        build_backbone(name)
