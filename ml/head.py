"""Trains the head on features: AdamW, minibatches, early stopping, the same bits for the same seed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from ml.config import TrainConfig
from ml.errors import KennelError
from ml.serving.network import HeadSpec, build_head

IMBALANCE = 1.5  # largest to smallest class, from which on "auto" weighs the classes
_DEAD = 1e-6  # a feature that varies less is a constant, and is left as it is

Features = NDArray[np.float32]  # [N, D]
Labels = NDArray[np.int64]  # [N]
EpochRow = dict[str, float]


@dataclass(frozen=True)
class TrainedHead:
    module: nn.Module  # takes features as the backbone gives them; the standardization is part of its weights
    history: tuple[EpochRow, ...]  # epoch (from 1), train_loss, train_accuracy, valid_loss, valid_accuracy
    best_epoch: int  # whose weights these are
    class_weights: tuple[float, ...] | None  # None: all count the same


def head_spec(config: TrainConfig) -> HeadSpec:
    return HeadSpec(config.head, config.hidden if config.head == "two-layer" else None)


def train_head(
    train: tuple[Features, Labels],
    valid: tuple[Features, Labels],
    *,
    num_classes: int,
    config: TrainConfig,
) -> TrainedHead:
    """Stops when the validation loss has not improved for `config.patience` epochs, and keeps the weights of
    the best one. Raises `KennelError` where the loss never is a number.
    """
    with _one_thread():
        return _train_head(train, valid, num_classes, config)


def _train_head(
    train: tuple[Features, Labels],
    valid: tuple[Features, Labels],
    num_classes: int,
    config: TrainConfig,
) -> TrainedHead:
    mean, scale = _standardization(train[0])
    x, y = torch.from_numpy((train[0] - mean) / scale), torch.from_numpy(train[1])
    valid_x, valid_y = torch.from_numpy((valid[0] - mean) / scale), torch.from_numpy(valid[1])
    weights = class_weights(train[1], num_classes, config.class_balance)
    loss_weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = build_head(head_spec(config), x.shape[1], num_classes)
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )

    history: list[EpochRow] = []
    best_loss, best_epoch, best_state = math.inf, 0, copy.deepcopy(head.state_dict())
    for epoch in range(1, config.epochs + 1):
        train_loss = train_hits = 0.0
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), config.batch_size):
            rows = order[start : start + config.batch_size]
            logits = head(x[rows])  # [B, C]
            loss = functional.cross_entropy(
                logits, y[rows], weight=loss_weights, label_smoothing=config.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            train_loss += float(loss.detach()) * len(rows)
            train_hits += int((logits.argmax(1) == y[rows]).sum())
        with torch.no_grad():
            logits = head(valid_x)
            # Without smoothing: it is the measure of the model, not its regularization.
            valid_loss = float(functional.cross_entropy(logits, valid_y, weight=loss_weights))
            valid_hits = int((logits.argmax(1) == valid_y).sum())
        row = {
            "epoch": epoch,
            "train_loss": train_loss / len(x),
            "train_accuracy": train_hits / len(x),
            "valid_loss": valid_loss,
            "valid_accuracy": valid_hits / len(valid_x),
        }
        history.append(row)
        if valid_loss < best_loss:
            best_loss, best_epoch, best_state = valid_loss, epoch, copy.deepcopy(head.state_dict())
        if epoch - best_epoch >= config.patience:
            break
    if best_epoch == 0:
        raise KennelError(
            "Training must bring a validation loss that is a number",
            f"{history[-1]['valid_loss']} at learning_rate={config.learning_rate:g}",
            "use a lower learning rate",
        )
    head.load_state_dict(best_state)
    _fold(head, mean, scale)
    return TrainedHead(head.eval().requires_grad_(False), tuple(history), best_epoch, weights)


def class_weights(labels: Labels, num_classes: int, balance: str) -> tuple[float, ...] | None:
    """Weights by which each class counts as much as any other; their mean over the images is 1."""
    counts = np.bincount(labels, minlength=num_classes)
    if balance == "off" or (balance == "auto" and counts.max() < IMBALANCE * counts.min()):
        return None
    return tuple(float(weight) for weight in len(labels) / (num_classes * np.maximum(counts, 1)))


def _standardization(features: Features) -> tuple[Features, Features]:
    """Mean and standard deviation [D] of the training split, in float64 for the sums' sake."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64)
    scale[scale < _DEAD] = 1.0
    return mean.astype(np.float32), scale.astype(np.float32)


def _fold(head: nn.Module, mean: Features, scale: Features) -> None:
    """W((x - mean) / scale) + b = (W / scale) x + (b - (W / scale) mean): the first layer takes it over."""
    first = (
        head
        if isinstance(head, nn.Linear)
        else next(each for each in head.modules() if isinstance(each, nn.Linear))
    )
    with torch.no_grad():
        weight = first.weight.double() / torch.from_numpy(scale).double()
        first.bias.copy_(first.bias.double() - weight @ torch.from_numpy(mean).double())
        first.weight.copy_(weight)


def predict(head: nn.Module, features: Features) -> NDArray[np.float32]:
    """Logits [N, C]."""
    with _one_thread(), torch.no_grad():
        logits: NDArray[np.float32] = head(torch.from_numpy(features)).numpy()
    return logits


@contextmanager
def _one_thread() -> Iterator[None]:
    """The order of a sum depends on how many threads share it; a head is too small to need them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
