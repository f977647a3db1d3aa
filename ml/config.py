"""What a training run is told: every setting checked before anything slow starts. Imports no torch."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ml.errors import KennelError

HeadKind = Literal["linear", "two-layer"]
ClassBalance = Literal["auto", "on", "off"]
Precision = Literal["auto", "f32", "bf16", "int8"]
Augment = Literal["none", "light", "strong"]
Device = Literal["auto", "cpu", "cuda"]

PACKAGED_BACKBONE = "timm/tf_efficientnet_lite0"
WEIGHTS_FILE_SUFFIXES = (".safetensors", ".pth", ".pt")
FROZEN_EPOCHS = 100  # at most, on cached features; early stopping usually ends before
UNFROZEN_EPOCHS = 10
_UNFREEZE = re.compile(r"none|all|last:[1-9][0-9]{0,3}")
_BACKBONE = re.compile(r"(timm|torchvision)/[A-Za-z0-9][A-Za-z0-9_.\-]*")


class ConfigError(KennelError):
    """A setting is unknown, of the wrong type or out of range."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run. The defaults work offline."""

    data: str | None = None  # folder, archive or s3:// prefix; None: the handwritten digits
    backbone: str = PACKAGED_BACKBONE  # "timm/<name>" or "torchvision/<name>"
    weights: str = "packaged"  # "packaged", "imagenet" or a .safetensors/.pth file
    head: HeadKind = "linear"
    hidden: int = 256  # width between the two layers of the "two-layer" head
    unfreeze: str = "none"  # of the backbone: "none", "last:N" blocks or "all"
    epochs: int | None = None  # at most; None: FROZEN_EPOCHS or UNFROZEN_EPOCHS
    learning_rate: float = 1e-3  # of the head
    # AdamW's: a step shrinks weights by learning_rate * weight_decay. None: chosen on the validation split.
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    batch_size: int = 64  # photos a step, whatever the number of processes and micro-batches
    patience: int = 10  # epochs without a better validation loss
    class_balance: ClassBalance = "auto"
    augment: Augment = "none"
    views: int = (
        2  # augmented views a training photo, beside the plain one, where a frozen backbone's are augmented
    )
    precision: Precision = (
        "auto"  # of feature extraction; unfrozen: f32, or bf16 by automatic mixed precision
    )
    serving_precision: Precision = (
        "auto"  # of the deployed model; auto: what is fastest among those that answer alike
    )
    device: Device = "auto"
    # With an unfrozen backbone only:
    backbone_rate: float = 0.1  # learning rate of its last block, as a share of the head's
    layer_decay: float = 0.75  # each block nearer to the input learns at so much of the next one's rate
    warmup_epochs: float = 1.0  # of a rising learning rate; afterwards it falls as a cosine
    accumulate: int = 1  # micro-batches a step
    ema: float = 0.0  # decay of the weights' exponential moving average; 0: without
    seed: int = 0
    cache_limit_gib: float = 10.0  # of the feature cache; the least recently used goes first

    def __post_init__(self) -> None:
        _check_data(self.data)
        _check_backbone(self.backbone)
        _check_weights(self.weights, self.backbone)
        _check_choice("head", self.head, ("linear", "two-layer"))
        _check_choice("class_balance", self.class_balance, ("auto", "on", "off"))
        _check_integer("hidden", self.hidden, 1, 65536)
        if self.epochs is not None:
            _check_integer("epochs", self.epochs, 1, 100_000)
        if not isinstance(self.unfreeze, str) or not _UNFREEZE.fullmatch(self.unfreeze):
            raise ConfigError(
                "unfreeze must be none, last:N or all", repr(self.unfreeze), "for example unfreeze=last:2"
            )
        _check_choice("augment", self.augment, ("none", "light", "strong"))
        _check_choice("precision", self.precision, ("auto", "f32", "bf16", "int8"))
        _check_choice("serving_precision", self.serving_precision, ("auto", "f32", "bf16", "int8"))
        _check_choice("device", self.device, ("auto", "cpu", "cuda"))
        _check_integer("views", self.views, 1, 64)
        _check_integer("accumulate", self.accumulate, 1, 1024)
        _check_integer("batch_size", self.batch_size, 1, 65536)
        _check_integer("patience", self.patience, 1, 100_000)
        _check_integer("seed", self.seed, 0, 2**32 - 1)
        _check_number("learning_rate", self.learning_rate, 0.0, 10.0, above=True)
        if self.weight_decay is not None:
            _check_number("weight_decay", self.weight_decay, 0.0, 1000.0)
        _check_number("label_smoothing", self.label_smoothing, 0.0, 0.5)
        _check_number("cache_limit_gib", self.cache_limit_gib, 0.0, 1e6)
        _check_number("backbone_rate", self.backbone_rate, 0.0, 1.0, above=True)
        _check_number("layer_decay", self.layer_decay, 0.0, 1.0, above=True)
        _check_number("warmup_epochs", self.warmup_epochs, 0.0, 1000.0)
        _check_number("ema", self.ema, 0.0, 0.99999)
        self._check_together()

    def _check_together(self) -> None:
        if not self.frozen and self.precision == "int8":
            raise ConfigError(
                "int8 is for frozen backbones",
                f"precision='int8', unfreeze={self.unfreeze!r}",
                "use precision=auto, bf16 or f32",
            )
        if self.accumulate > self.batch_size:
            raise ConfigError(
                "accumulate must be at most batch_size",
                f"accumulate={self.accumulate}, batch_size={self.batch_size}",
                "use fewer micro-batches",
            )

    @property
    def subject(self) -> str:
        """What people call the data."""
        return "Handwritten digits" if self.data is None else self.data.rstrip("/").rpartition("/")[2]

    @property
    def frozen(self) -> bool:
        return self.unfreeze == "none"

    @property
    def extraction_precision(self) -> Precision:
        """Of the frozen backbone: where it is unfrozen, `precision` is that of its training."""
        return self.precision if self.frozen else "auto"

    @property
    def extra_views(self) -> int:
        """Features of so many augmented views are computed for each training photo."""
        return self.views if self.frozen and self.augment != "none" else 0

    @property
    def max_epochs(self) -> int:
        if self.epochs is not None:
            return self.epochs
        return FROZEN_EPOCHS if self.frozen else UNFROZEN_EPOCHS

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TrainConfig:
        """Unknown keys are errors; missing ones take their default."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in settings:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise ConfigError(
                    "A training setting must be a known one", repr(key), f"{hint}known: {', '.join(known)}"
                )
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def portable(self) -> dict[str, Any]:
        """What makes the model, and nothing of the machine: of local weights the name alone, and no data, since
        the same photos may lie anywhere; their digest is what counts."""
        settings = self.to_dict()
        del settings["cache_limit_gib"], settings["data"]
        settings["epochs"] = self.max_epochs
        if self.weights not in ("packaged", "imagenet"):
            settings["weights"] = Path(self.weights).name
        return settings


def _check_data(value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigError(
            "data must be a folder, an archive or an s3:// prefix",
            repr(value),
            "name one, or leave data out to train on the handwritten digits",
        )


def _check_backbone(value: object) -> None:
    if not isinstance(value, str) or not _BACKBONE.fullmatch(value):
        raise ConfigError(
            "backbone must be timm/<name> or torchvision/<name>",
            repr(value),
            f"for example {PACKAGED_BACKBONE} or torchvision/resnet50",
        )


def _check_weights(value: object, backbone: str) -> None:
    if not isinstance(value, str) or (
        value not in ("packaged", "imagenet") and not value.endswith(WEIGHTS_FILE_SUFFIXES)
    ):
        raise ConfigError(
            "weights must be packaged, imagenet or the path of a .safetensors or .pth file",
            repr(value),
            "use packaged (needs no network), imagenet (downloads) or name a file",
        )
    if value == "packaged" and backbone != PACKAGED_BACKBONE:
        raise ConfigError(
            f"weights=packaged exist for the backbone {PACKAGED_BACKBONE} only",
            f"backbone={backbone!r}",
            "use weights=imagenet, which downloads, or name a file of weights for this backbone",
        )
    if value.endswith(WEIGHTS_FILE_SUFFIXES) and not Path(value).is_file():
        raise ConfigError("weights must name a file that exists", repr(value), "check the path")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(
            f"{name} must be one of {', '.join(choices)}", repr(value), f"use {name}={choices[0]}"
        )


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(
            f"{name} must be a whole number from {low} to {high}",
            repr(value),
            f"the default is {_default(name)}",
        )


def _check_number(name: str, value: object, low: float, high: float, *, above: bool = False) -> None:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if (
        not number
        or not math.isfinite(v := cast(float, value))
        or not low <= v <= high
        or (above and v == low)
    ):
        bounds = f"above {low:g} and at most {high:g}" if above else f"from {low:g} to {high:g}"
        raise ConfigError(
            f"{name} must be a number {bounds}", repr(value), f"the default is {_default(name)}"
        )


def _default(name: str) -> object:
    return next(field.default for field in dataclasses.fields(TrainConfig) if field.name == name)
