"""A data set as features, and a model fitted to it: what training and each trial of tuning share."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ml.config import TrainConfig
from ml.data import Dataset, Sample, Split
from ml.distributed import SINGLE, Group
from ml.errors import KennelError
from ml.feature_cache import FeatureCache
from ml.features import extract, resolve_precision
from ml.fine_tune import fine_tune
from ml.fine_tune.blocks import last_blocks
from ml.head import EpochRow, Features, Labels, train_head
from ml.serving.network import Network
from ml.weights import LoadedBackbone

FINE_TUNING_DECAY = 0.05  # weight decay of an unfrozen backbone, where none is given


class Material:
    """Photos as the frozen backbone sees them; a split's features are computed when they are first asked for."""

    def __init__(
        self,
        dataset: Dataset,
        backbone: LoadedBackbone,
        *,
        cache: FeatureCache,
        precision: str = "auto",
        seed: int = 0,
        group: Group = SINGLE,
        progress: bool = True,
    ) -> None:
        self.dataset = dataset
        self.backbone = backbone
        self.group = group
        self.progress = progress
        self.precision = resolve_precision(precision, backbone, sum(dataset.counts.values()))
        self._cache = cache
        self._seed = seed
        self._known: dict[tuple[Split, str, str, int], Features] = {}

    def features(
        self, split: Split, *, precision: str | None = None, augment: str = "none", views: int = 0
    ) -> Features:
        """[N, D] in the split's order; with views [N * (1 + views), D], all of a photo next to each other."""
        precision, augment = precision or self.precision, augment if views else "none"
        key = (split, precision, augment, views)
        if key not in self._known:
            rows = self._extract(self.dataset.split(split), precision, augment, views)
            self._known[key] = rows.reshape(-1, rows.shape[-1])
        return self._known[key]

    def prepare(self) -> None:
        """Plain features of what a model is fitted to, in one go: the backbone is compiled once for both splits."""
        rows = self._extract((*self.dataset.train, *self.dataset.valid), self.precision, "none", 0)
        edge = len(self.dataset.train)
        self._known["train", self.precision, "none", 0] = rows[:edge]
        self._known["valid", self.precision, "none", 0] = rows[edge:]

    def _extract(self, samples: Sequence[Sample], precision: str, augment: str, views: int) -> Features:
        return extract(
            samples,
            self.backbone,
            cache=self._cache,
            precision=precision,
            calibration=self.dataset.train,
            views=views,
            augment=augment,
            seed=self._seed,
            group=self.group,
            progress=self.progress and self.group.is_main,
        )

    def labels(self, split: Split, views: int = 0) -> Labels:
        return np.repeat(labels_of(self.dataset.split(split)), 1 + views)


def cache_of(config: TrainConfig, work_dir: Path) -> FeatureCache:
    """The features that all runs and trials in `work_dir` share."""
    return FeatureCache(work_dir / "cache" / "features", limit=int(config.cache_limit_gib * 2**30))


@dataclass(frozen=True)
class Fitted:
    backbone: LoadedBackbone  # as it was, or as it was fine-tuned
    head: nn.Module
    history: tuple[EpochRow, ...]
    best_epoch: int
    class_weights: tuple[float, ...] | None
    weight_decay: float

    @property
    def network(self) -> Network:
        """In f32 and evaluation mode."""
        return Network(self.backbone.module, self.head).eval()

    @property
    def best_loss(self) -> float:
        """Of the validation split."""
        return self.history[self.best_epoch - 1]["valid_loss"]


def check(config: TrainConfig, dataset: Dataset, backbone: LoadedBackbone) -> None:
    """What only data and backbone can tell of the settings: for before anything slow starts. Raises `KennelError`."""
    photos = len(dataset.train)
    # The default is nobody's wish: of fewer photos it makes one batch.
    if config.batch_size > photos and config.batch_size != TrainConfig.batch_size:
        raise KennelError(
            "A batch must not be larger than the training split",
            f"batch_size={config.batch_size}, {photos} training photos",
            f"use --batch-size {max(1, min(64, photos // 2))}, or more photos",
        )
    resolve_precision(config.precision, backbone, photos)
    if not config.frozen:
        last_blocks(backbone.module, config.unfreeze)


def fit(
    config: TrainConfig,
    material: Material,
    *,
    checkpoints: Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[EpochRow], None] | None = None,
) -> Fitted:
    """Trains a head on the frozen backbone's features; then, where `config` unfreezes it, both together.

    Never looks at the test split. Raises `KennelError`.
    """
    check(config, material.dataset, material.backbone)
    if not config.frozen:
        return _fine_tuned(config, material, checkpoints, resume, on_epoch)
    views = config.extra_views
    head = train_head(
        (material.features("train", augment=config.augment, views=views), material.labels("train", views)),
        (material.features("valid"), material.labels("valid")),
        num_classes=len(material.dataset.classes),
        config=config,
        classifier=material.backbone.classifier,
        on_epoch=on_epoch if material.group.is_main else None,
    )
    return Fitted(
        material.backbone,
        head.module,
        head.history,
        head.best_epoch,
        head.class_weights,
        head.weight_decay,
    )


def _fine_tuned(
    config: TrainConfig,
    material: Material,
    checkpoints: Path | None,
    resume: bool,
    on_epoch: Callable[[EpochRow], None] | None,
) -> Fitted:
    """From a head that fits already: a random one would first of all spoil the backbone (arXiv 2202.10054)."""
    frozen = dataclasses.replace(config, unfreeze="none", augment="none", epochs=None, ema=0.0)
    start = fit(frozen, material)
    head = material.group.broadcast(start.head)
    decay = FINE_TUNING_DECAY if config.weight_decay is None else config.weight_decay
    tuned = fine_tune(
        material.dataset,
        material.backbone,
        head,
        dataclasses.replace(config, weight_decay=decay),
        group=material.group,
        checkpoints=checkpoints,
        resume=resume,
        on_epoch=on_epoch,
        progress=material.progress,
    )
    backbone = dataclasses.replace(material.backbone, module=tuned.network.backbone)
    return Fitted(backbone, tuned.network.head, tuned.history, tuned.best_epoch, tuned.class_weights, decay)


def labels_of(samples: Sequence[Sample]) -> Labels:
    return np.array([sample.label for sample in samples], dtype=np.int64)


def choose_device(device: str) -> None:
    """Keeps torch to the processor for "cpu"; raises `KennelError` for "cuda" where there is no GPU."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read when torch first looks for GPUs
    elif device == "cuda" and not torch.cuda.is_available():
        raise KennelError(
            "device=cuda needs a GPU that PyTorch can use",
            "none was found",
            "use device=auto, or a machine with a GPU",
        )
