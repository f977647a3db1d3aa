"""The inference script of the workflow that Kennel replaces, written afresh: the serving benchmark's baseline.

`model_fn`, `input_fn`, `predict_fn` and `output_fn`, in eager PyTorch, a photo a call: decoded whole, resized to
224 x 224, not normalized. Two things differ: weights come from a file that the benchmark writes, and the number of
classes is told by it. What serves it is in `bench/peers/`.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms

WEIGHTS = "weights.pth"
THREADS = "PEER_THREADS"  # of PyTorch, where the environment says so


def net(state: dict[str, torch.Tensor]) -> nn.Module:
    """ResNet-50 with a new head of two layers."""
    model = torchvision.models.resnet50(weights=None)
    hidden, width = state["fc.0.weight"].shape
    model.fc = nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, state["fc.2.weight"].shape[0])
    )
    model.load_state_dict(state)
    network: nn.Module = model
    return network


def model_fn(model_dir: str) -> nn.Module:
    if threads := os.environ.get(THREADS):
        torch.set_num_threads(int(threads))
    return net(torch.load(Path(model_dir) / WEIGHTS, map_location="cpu", weights_only=True)).eval()


def input_fn(request_body: bytes, content_type: str = "image/jpeg") -> Image.Image:
    if content_type != "image/jpeg":
        raise ValueError(f"Requested unsupported ContentType in content_type: {content_type}")
    return Image.open(io.BytesIO(request_body))


def predict_fn(input_object: Image.Image, model: nn.Module) -> torch.Tensor:
    test_transform = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor()])
    tensor: Any = test_transform(input_object)
    with torch.no_grad():
        scores: torch.Tensor = model(tensor.unsqueeze(0))
    return scores


def output_fn(prediction: torch.Tensor, accept: str = "application/json") -> str:  # noqa: ARG001
    return json.dumps(prediction.tolist())
