"""A backbone so small that a whole training run takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ml.serving.network import build_backbone

TINY = "timm/test_resnet"  # takes images of 160 x 160


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that nobody trained, in a file; their features still tell colours apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_backbone(TINY).module
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        module.train()(torch.randn(16, 3, 160, 160))  # sets the batch statistics, or all features would be 0
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(module.state_dict(), path)
    return path
