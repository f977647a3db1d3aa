from __future__ import annotations

import pytest
import torch

from ml.errors import KennelError
from ml.fine_tune.blocks import blocks, learning_mode, parameter_groups, unfreeze
from ml.serving.network import Network, build_backbone
from tests.ml.fine_tune import material


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("timm/test_resnet", 5),
        ("timm/resnet50", 5),
        ("timm/tf_efficientnet_lite0", 8),
        ("timm/vit_tiny_patch16_224", 13),
        ("timm/convnext_atto", 5),
        ("timm/swin_tiny_patch4_window7_224", 5),
        ("torchvision/resnet50", 5),
        ("torchvision/efficientnet_b0", 9),
        ("torchvision/mobilenet_v3_small", 13),
        ("torchvision/densenet121", 5),
        ("torchvision/shufflenet_v2_x0_5", 4),
        ("torchvision/vit_b_16", 13),
        ("torchvision/maxvit_t", 5),
    ],
)
def test_a_backbone_is_a_row_of_blocks_in_which_every_parameter_is_once(name: str, count: int) -> None:
    with torch.device("meta"):
        module = build_backbone(name).module
    found = blocks(module)
    assert len(found) == count
    names = [parameter for block in found for parameter in block]
    assert sorted(names) == sorted(parameter for parameter, _ in module.named_parameters())
    first = next(name for name, _ in module.named_parameters() if name.endswith("weight"))
    assert first in found[0]


def network() -> Network:
    loaded = material.backbone()
    return Network(loaded.module, material.head(loaded.width))


def test_only_the_blocks_that_are_named_and_the_head_learn() -> None:
    net = network()
    unfreeze(net, "last:2")
    learning = {name for name, each in net.named_parameters() if each.requires_grad}
    assert learning == {
        name
        for name, _ in net.named_parameters()
        if name.startswith(("backbone.layer3", "backbone.layer4", "head."))
    }
    unfreeze(net, "all")
    assert all(each.requires_grad for each in net.parameters())


def test_more_blocks_than_there_are_is_an_error_that_tells_how_many_there_are() -> None:
    with pytest.raises(KennelError) as caught:
        unfreeze(network(), "last:6")
    assert caught.value.rule == "unfreeze=last:N must name no more blocks than the backbone has"
    assert caught.value.received == "last:6, and it has 5"
    assert caught.value.remedy == "use last:5 or fewer, or all"


def test_each_block_nearer_to_the_input_learns_slower_and_norms_and_biases_do_not_decay() -> None:
    net = network()
    config = material.config(learning_rate=0.01, backbone_rate=0.5, layer_decay=0.1, weight_decay=0.3)
    chosen = unfreeze(net, "last:2")
    names = {parameter: name for name, parameter in net.named_parameters()}
    told = {
        names[parameter]: (group["rate"], group["weight_decay"])
        for group in parameter_groups(net, chosen, config)
        for parameter in group["params"]
    }
    assert told.keys() == {name for name, each in net.named_parameters() if each.requires_grad}
    assert told["head.weight"] == (0.01, 0.3)
    assert told["head.bias"] == (0.01, 0.0)
    assert told["backbone.layer4.0.conv1.weight"] == (0.005, 0.3)
    assert told["backbone.layer4.0.bn1.weight"] == (0.005, 0.0)
    assert told["backbone.layer3.0.conv1.weight"] == pytest.approx((0.0005, 0.3))


def test_a_transformer_keeps_its_positions_free_of_decay() -> None:
    loaded = build_backbone("timm/test_vit")
    net = Network(loaded.module, material.head(loaded.width))
    chosen = unfreeze(net, "all")
    free = [
        parameter
        for group in parameter_groups(net, chosen, material.config())
        if group["weight_decay"] == 0
        for parameter in group["params"]
    ]
    assert any(parameter is net.backbone.pos_embed for parameter in free)


def test_norms_with_statistics_stay_in_evaluation_while_all_else_learns() -> None:
    net = network()
    learning_mode(net)
    modes = {isinstance(layer, torch.nn.BatchNorm2d): layer.training for layer in net.modules()}
    assert modes == {True: False, False: True}
