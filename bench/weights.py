"""The weights that both sides of the training benchmark load, as .safetensors files.

ResNet-50's own are not to be had without a network, and speed does not depend on their values: these are random ones of
a fixed seed, whose batch norms were set on photos, so that what comes out tells photos apart. Where accuracy is what
counts, both sides take the trained weights of the packaged backbone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ml.config import PACKAGED_BACKBONE
from ml.data import Dataset
from ml.serving.images import decode
from ml.serving.network import build_backbone
from ml.weights import load_backbone

RESNET = "torchvision/resnet50"
TRAINED = PACKAGED_BACKBONE
_PHOTOS = 64  # that set the batch norms
_BATCH = 16


def file_of(backbone: str, folder: Path, dataset: Dataset) -> Path:
    """Return the file of the backbone's weights, written once."""
    path = folder / f"{backbone.replace('/', '-')}.safetensors"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if backbone == PACKAGED_BACKBONE:
            _write_packaged(backbone, path)
        else:
            _write_random(backbone, path, dataset)
    return path


def _write_packaged(name: str, path: Path) -> None:
    """With the classifier that comes with them, which Kennel starts from and the replaced script throws away."""
    loaded = load_backbone(name, "packaged")
    tensors = dict(loaded.module.state_dict())
    if loaded.classifier is not None:
        layer = build_backbone(name).classifier
        tensors |= {f"{layer}.weight": loaded.classifier.weight, f"{layer}.bias": loaded.classifier.bias}
    save_file(tensors, path)


def _write_random(name: str, path: Path, dataset: Dataset) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_backbone(name).module
    save_file(module.state_dict(), path)
    preprocessing = load_backbone(name, str(path)).preprocessing
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
    module.train()
    every = max(1, len(dataset.train) // _PHOTOS)  # of every class some
    samples = dataset.train[::every][:_PHOTOS]
    with torch.no_grad():
        for start in range(0, len(samples), _BATCH):
            photos = [decode(sample.path.read_bytes()) for sample in samples[start : start + _BATCH]]
            module(torch.stack([torch.from_numpy(preprocessing.apply(photo)) for photo in photos]))
    save_file(module.state_dict(), path)
