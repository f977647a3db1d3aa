"""A data set and a network so small that fine-tuning takes less than a second; also for programs of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from ml.config import TrainConfig
from ml.data import Dataset, Sample
from ml.serving.network import HeadSpec, Network, build_backbone, build_head
from ml.serving.preprocessing import Preprocessing
from ml.weights import LoadedBackbone

CLASSES = ("ant", "bee", "cat")
COUNTS = {"train": (9, 15, 13), "valid": (5, 6, 8), "test": (1, 1, 1)}  # photos a class
SIDE = 32  # pixels


def config(**settings: Any) -> TrainConfig:
    """37 photos in batches of 9: the last one has a single photo."""
    given = {
        "backbone": "timm/test_resnet",
        "weights": "imagenet",
        "unfreeze": "all",
        "epochs": 3,
        "batch_size": 9,
        "weight_decay": 0.05,
        "precision": "f32",
        "class_balance": "off",
        "learning_rate": 3e-3,
    }
    return TrainConfig.from_dict({**given, **settings})


def write_photos(root: Path) -> Path:
    for split, counts in COUNTS.items():
        for label, (name, count) in enumerate(zip(CLASSES, counts, strict=True)):
            (root / split / name).mkdir(parents=True)
            noise = np.random.default_rng([label, len(split)])
            colour = np.array([90, 120, 150])[[label, (label + 1) % 3, (label + 2) % 3]]
            for number in range(count):
                pixels = colour + noise.integers(-60, 60, (SIDE, SIDE + 8, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{number}.png")
    return root


def read_photos(root: Path) -> Dataset:
    splits = {
        split: [
            Sample(CLASSES.index(path.parent.name), hashlib.sha256(path.read_bytes()).hexdigest(), path)
            for path in root.glob(f"{split}/*/*.png")
        ]
        for split in COUNTS
    }
    return Dataset.build(CLASSES, splits)  # type: ignore[arg-type]


def backbone(name: str = "timm/test_resnet") -> LoadedBackbone:
    """With batch statistics of noise, as if it had been trained on it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = build_backbone(name)
        for layer in built.module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        built.module.train()(torch.randn(16, 3, SIDE, SIDE))
    module = built.module.eval().requires_grad_(False)
    preprocessing = Preprocessing(SIDE, SIDE, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    return LoadedBackbone(name, module, built.width, "digest", preprocessing, None)


def head(width: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return build_head(HeadSpec(), width, len(CLASSES))


def bits(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def statistics(network: Network) -> dict[str, bytes]:
    return {
        name: tensor.numpy().tobytes()
        for name, tensor in network.named_buffers()
        if "running" in name or "num_batches" in name
    }
