"""A backbone as a row of blocks, from the image to the features: what is unfrozen, and how fast each part learns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import nn

from ml.config import TrainConfig
from ml.errors import KennelError
from ml.serving.network import Network

# What torchvision calls the stages of its networks. What comes before the first is the stem; what comes
# between or after them goes with the one before.
_TORCHVISION = re.compile(
    r"(?:layers?\.?|features\.(?:denseblock|transition)?|blocks\.|stage|"
    r"trunk_output\.block|encoder\.layers\.encoder_layer_)(\d+)\."
)

Parameters = dict[str, nn.Parameter]


def blocks(backbone: nn.Module) -> list[Parameters]:
    """Every parameter of the backbone, by block; the first is the stem."""
    numbers = _by_timm(backbone) if hasattr(backbone, "group_matcher") else _by_name(backbone)
    found: dict[int, Parameters] = {number: {} for number in sorted(set(numbers.values()))}
    for name, parameter in backbone.named_parameters():
        found[numbers[name]][name] = parameter
    joined: list[Parameters] = []
    for block in found.values():
        # A norm at the end is no block of its own, nor is what holds a token only.
        if joined and (not _has_weights(block) or not _has_weights(joined[-1])):
            joined[-1].update(block)
        else:
            joined.append(block)
    return joined


def _has_weights(block: Parameters) -> bool:
    return any(_decays(parameter) and name.endswith("weight") for name, parameter in block.items())


def _by_timm(backbone: Any) -> dict[str, int]:
    from timm.models import group_parameters

    return dict(group_parameters(backbone, backbone.group_matcher(coarse=True), reverse=True))


def _by_name(backbone: nn.Module) -> dict[str, int]:
    numbers, last = {}, -1
    for name, _ in backbone.named_parameters():
        if match := _TORCHVISION.match(name):
            last = int(match[1])
        numbers[name] = last
    return numbers


def last_blocks(backbone: nn.Module, unfrozen: str) -> list[Parameters]:
    """What "all" or "last:N" names, the last one first. Raises `KennelError` where there are fewer."""
    found = blocks(backbone)
    count = len(found) if unfrozen == "all" else int(unfrozen.removeprefix("last:"))
    if count > len(found):
        raise KennelError(
            "unfreeze=last:N must name no more blocks than the backbone has",
            f"{unfrozen}, and it has {len(found)}",
            f"use last:{len(found)} or fewer, or all",
        )
    return found[::-1][:count]


def unfreeze(network: Network, unfrozen: str) -> list[Parameters]:
    """Lets learn the head and the last blocks of the backbone; returns these blocks, the last one first."""
    chosen = last_blocks(network.backbone, unfrozen)
    network.requires_grad_(False)
    network.head.requires_grad_(True)
    for block in chosen:
        for parameter in block.values():
            parameter.requires_grad_(True)
    return chosen


def parameter_groups(
    network: Network, chosen: list[Parameters], config: TrainConfig
) -> Iterator[dict[str, Any]]:
    """For the optimizer; "rate" is what the schedule scales."""
    exempt = {f"backbone.{name}" for name in getattr(network.backbone, "no_weight_decay", set)()}
    parts = [(config.learning_rate, {f"head.{name}": each for name, each in network.head.named_parameters()})]
    for distance, block in enumerate(chosen):
        rate = config.learning_rate * config.backbone_rate * config.layer_decay**distance
        parts.append((rate, {f"backbone.{name}": parameter for name, parameter in block.items()}))
    for rate, parameters in parts:
        for decaying in (True, False):
            members = [
                parameter
                for name, parameter in parameters.items()
                if parameter.requires_grad and (_decays(parameter) and name not in exempt) == decaying
            ]
            if members:
                decay = config.weight_decay if decaying else 0.0
                yield {"params": members, "rate": rate, "weight_decay": decay}


def _decays(parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1  # not biases, nor the scales of norms


def learning_mode(network: nn.Module) -> None:
    """Training mode, but the statistics of norms stay what the backbone came with: those of a small batch are
    worse, and would make the result depend on how the batch is divided."""
    network.train()
    for layer in network.modules():
        if "running_mean" in dict(layer.named_buffers(recurse=False)):
            layer.eval()
