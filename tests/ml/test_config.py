from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.config import ConfigError, TrainConfig


def test_the_defaults_need_neither_data_nor_network() -> None:
    config = TrainConfig.from_dict({})
    assert config.data is None
    assert (config.backbone, config.weights) == ("timm/tf_efficientnet_lite0", "packaged")


def test_a_configuration_survives_the_way_through_a_dict() -> None:
    config = TrainConfig(
        backbone="torchvision/resnet50", weights="imagenet", head="two-layer", hidden=128, seed=7
    )
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_an_unknown_key_is_an_error_that_suggests_the_known_one() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict({"learning_rat": 0.1})
    assert caught.value.received == "'learning_rat'"
    assert "did you mean 'learning_rate'?" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"data": ""}, "data must be a folder"),
        ({"unfreeze": "last"}, "unfreeze must be none, last:N or all"),
        ({"unfreeze": "last:0"}, "unfreeze must be none, last:N or all"),
        ({"augment": "heavy"}, "augment must be one of"),
        ({"precision": "fp16"}, "precision must be one of"),
        ({"device": "tpu"}, "device must be one of"),
        ({"views": 0}, "views must be a whole number"),
        ({"ema": 1.0}, "ema must be a number"),
        ({"backbone_rate": 0.0}, "backbone_rate must be a number above 0"),
        ({"precision": "int8", "unfreeze": "all"}, "int8 is for frozen backbones"),
        ({"accumulate": 8, "batch_size": 4}, "accumulate must be at most batch_size"),
        ({"data": 3}, "data must be a folder"),
        ({"backbone": "resnet50"}, "backbone must be timm/<name> or torchvision/<name>"),
        ({"backbone": "timm/../x"}, "backbone must be timm/<name> or torchvision/<name>"),
        ({"backbone": None}, "backbone must be timm/<name> or torchvision/<name>"),
        ({"weights": "model.onnx"}, "weights must be packaged, imagenet or the path"),
        ({"weights": "no/such/file.safetensors"}, "weights must name a file that exists"),
        (
            {"backbone": "torchvision/resnet50"},
            "weights=packaged exist for the backbone timm/tf_efficientnet_lite0",
        ),
        ({"head": "three-layer"}, "head must be one of linear, two-layer"),
        ({"class_balance": True}, "class_balance must be one of auto, on, off"),
        ({"hidden": 0}, "hidden must be a whole number from 1"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"batch_size": "64"}, "batch_size must be a whole number"),
        ({"patience": 0}, "patience must be a whole number from 1"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a number above 0"),
        ({"weight_decay": -0.1}, "weight_decay must be a number from 0"),
        ({"weight_decay": float("inf")}, "weight_decay must be a number from 0"),
        ({"label_smoothing": 0.9}, "label_smoothing must be a number from 0 to 0.5"),
        ({"cache_limit_gib": -1}, "cache_limit_gib must be a number from 0"),
    ],
)
def test_a_bad_value_is_refused_with_rule_value_and_remedy(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict(settings)
    assert caught.value.rule.startswith(rule)
    assert caught.value.received
    assert caught.value.remedy


def test_the_portable_form_names_no_folder_of_this_machine(tiny_weights: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(tmp_path / "dogs"), backbone="timm/test_resnet", weights=str(tiny_weights))
    portable = config.portable()
    assert portable["weights"] == tiny_weights.name
    assert config.to_dict().keys() - portable.keys() == {"data", "cache_limit_gib"}


def test_checking_settings_does_not_wait_for_torch() -> None:
    script = "import sys, ml.config; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0


def test_the_epochs_asked_for_are_the_epochs_whatever_is_unfrozen() -> None:
    assert TrainConfig(epochs=1).max_epochs == TrainConfig(epochs=1, unfreeze="all").max_epochs == 1
    assert TrainConfig().max_epochs > TrainConfig(unfreeze="last:1").max_epochs > 1


def test_views_are_for_augmented_photos_of_a_frozen_backbone() -> None:
    assert TrainConfig(views=3).extra_views == 0
    assert TrainConfig(views=3, augment="light").extra_views == 3
    assert TrainConfig(views=3, augment="light", unfreeze="all").extra_views == 0
