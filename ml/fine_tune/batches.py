"""The photos of an epoch in their order, as batches of pixels, decoded ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ml.config import TrainConfig
from ml.data import Sample
from ml.decoding import Frame, decoded
from ml.serving.preprocessing import Preprocessing

KEPT_BYTES = 2**30  # of decoded photos, a process


@dataclass(frozen=True)
class Part:
    """What one process computes at once."""

    rows: list[int]  # of the training split
    scale: float  # of the sum of the photos' losses: one over the weights in the whole batch
    ends_step: bool


def epoch_parts(
    weights: Sequence[float],  # of the training photos
    config: TrainConfig,
    epoch: int,
    *,
    rank: int,
    world: int,
    largest: int,  # photos that are computed at once
) -> list[Part]:
    """Every process deals the same batches, and so knows what the others do without asking.

    One that a small last batch leaves without a photo computes one that counts nothing: the others wait for
    its gradients.
    """
    order = np.random.default_rng([config.seed, epoch]).permutation(len(weights))
    parts = []
    for start in range(0, len(order), config.batch_size):
        batch = order[start : start + config.batch_size]
        scale = 1 / sum(weights[row] for row in batch)
        mine = np.array_split(batch, world)[rank]
        if not len(mine):
            mine, scale = batch[:1], 0.0
        pieces = np.array_split(mine, min(len(mine), max(config.accumulate, -(-len(mine) // largest))))
        parts += [Part(piece.tolist(), scale, piece is pieces[-1]) for piece in pieces]
    return parts


class Photos:
    """Decodes each photo once while there is memory for it, and augmented ones anew in every epoch."""

    def __init__(self, preprocessing: Preprocessing, config: TrainConfig) -> None:
        self._preprocessing = preprocessing
        self._augment = config.augment
        self._seed = config.seed
        self._kept: dict[str, Frame] = {}
        self._room = KEPT_BYTES // (3 * preprocessing.crop**2)  # photos
        self._mean = torch.tensor(preprocessing.mean)
        self._std = torch.tensor(preprocessing.std)

    def batches(self, batches: Sequence[Sequence[Sample]], *, view: int = 0) -> Iterator[torch.Tensor]:
        """uint8 [B, H, W, 3] of each batch; `view` 0 is the plain photo, others are augmented."""
        view = 0 if self._augment == "none" else view
        # What is kept by now: what the decoder comes to keep in the meantime it decodes all the same.
        kept = (
            self._kept.keys() & {sample.sha256 for batch in batches for sample in batch}
            if not view
            else set()
        )
        missing = [
            (sample, (view,)) for batch in batches for sample in batch if view or sample.sha256 not in kept
        ]
        fresh = decoded(missing, self._preprocessing, augment=self._augment, seed=self._seed)
        for batch in batches:
            frames = []
            for sample in batch:
                frame = self._kept[sample.sha256] if sample.sha256 in kept else next(fresh)[1]
                if not view and len(self._kept) < self._room:
                    self._kept[sample.sha256] = frame
                frames.append(frame)
            yield torch.from_numpy(np.stack(frames))

    def normalized(self, frames: torch.Tensor, device: torch.device) -> torch.Tensor:
        """float32 [B, 3, H, W] in channels_last, the same bits as `Preprocessing.apply` gives."""
        if device.type == "cuda":
            frames = frames.pin_memory().to(device, non_blocking=True)
        pixels = frames.float().div_(255)
        return pixels.sub_(self._mean.to(device)).div_(self._std.to(device)).permute(0, 3, 1, 2)
