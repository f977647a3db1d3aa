"""The network: a backbone that turns images into features, and a head that turns those into scores.

Imported by training and by the PyTorch engine only; the OpenVINO engine needs neither torch nor timm.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import nn

HeadKind = Literal["linear", "two-layer"]

# Their forward pass changes with the weights that they are built for: a bare build is another network.
_UNSUPPORTED = {"torchvision/googlenet", "torchvision/inception_v3"}


class NetworkError(ValueError):
    """A description of a network that cannot be built."""


@dataclass(frozen=True)
class HeadSpec:
    kind: HeadKind = "linear"
    hidden: int | None = None  # width between the two layers; None for a linear head

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "two-layer"):
            raise NetworkError(f"head kind must be linear or two-layer, not {self.kind!r}")
        if (self.hidden is None) != (self.kind == "linear"):
            raise NetworkError(
                f"hidden belongs to a two-layer head and to no other, not {self.hidden!r} to {self.kind}"
            )


@dataclass(frozen=True)
class NetworkSpec:
    backbone: str  # "timm/<name>" or "torchvision/<name>"
    head: HeadSpec
    num_classes: int

    def to_dict(self) -> dict[str, Any]:
        head: dict[str, Any] = {"kind": self.head.kind}
        if self.head.hidden is not None:
            head["hidden"] = self.head.hidden
        return {"backbone": self.backbone, "head": head, "num_classes": self.num_classes}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> NetworkSpec:
        try:
            head = HeadSpec(**description["head"])
            return cls(**{**description, "head": head})
        except (KeyError, TypeError) as error:
            raise NetworkError(
                f"a network needs backbone, head and num_classes, and nothing else: {error}"
            ) from error


class Network(nn.Module):
    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.backbone(images))  # [N, 3, H, W] -> [N, D] -> [N, C]
        return logits


def build(spec: NetworkSpec) -> Network:
    """The network of `spec` in evaluation mode, with weights still to be loaded."""
    backbone = build_backbone(spec.backbone)
    return Network(backbone.module, build_head(spec.head, backbone.width, spec.num_classes)).eval()


def build_head(spec: HeadSpec, width: int, num_classes: int) -> nn.Module:
    """Takes features [N, width] to logits [N, num_classes]."""
    if spec.hidden is None:
        return nn.Linear(width, num_classes)
    return nn.Sequential(nn.Linear(width, spec.hidden), nn.ReLU(), nn.Linear(spec.hidden, num_classes))


@dataclass(frozen=True)
class Backbone:
    module: nn.Module  # without weights, and without its own classifier
    width: int  # features an image
    classifier: str  # what the classifier is called in the weights of the whole


def build_backbone(name: str) -> Backbone:
    """Raises `NetworkError` where timm or torchvision have no such network."""
    library, _, model = name.partition("/")
    if name in _UNSUPPORTED:
        raise NetworkError(f"{name} is not supported; timm has the same network as timm/{model}")
    if library == "timm":
        return _from_timm(model)
    if library == "torchvision":
        return _from_torchvision(model)
    raise NetworkError(f"a backbone is timm/<name> or torchvision/<name>, not {name!r}")


def _from_timm(name: str) -> Backbone:
    import timm

    if not timm.is_model(name):
        raise NetworkError(_unknown("timm", name, timm.list_models()))
    try:
        backbone = timm.create_model(name, pretrained=False, num_classes=0)
    except RuntimeError as error:  # an unknown tag after the dot
        raise NetworkError(f"timm cannot build {name!r}: {error}") from error
    return Backbone(
        backbone, cast(int, backbone.head_hidden_size), str(cast(Any, backbone).pretrained_cfg["classifier"])
    )


def _from_torchvision(name: str) -> Backbone:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise NetworkError(_unknown("torchvision", name, known))
    backbone = torchvision.models.get_model(name, weights=None)
    layers = [(path, layer) for path, layer in backbone.named_modules() if isinstance(layer, nn.Linear)]
    if not layers or layers[-1][1].out_features != 1000:
        raise NetworkError(f"torchvision/{name} does not end in a linear classifier that could be replaced")
    path, classifier = layers[-1]
    backbone.set_submodule(path, nn.Identity())
    return Backbone(backbone, classifier.in_features, path)


def _unknown(library: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {' or '.join(f'{library}/{each}' for each in close)}?" if close else ""
    return f"{library} has no image classifier named {name!r}{hint}"
