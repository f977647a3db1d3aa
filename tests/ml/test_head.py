from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ml.config import TrainConfig
from ml.errors import KennelError
from ml.head import WEIGHT_DECAYS, Features, Labels, class_weights, predict, train_head
from ml.weights import Classifier

CLASSES = 3
WIDTH = 16
CONFIG = TrainConfig(epochs=40, weight_decay=1.0, batch_size=16)


def clouds(
    count: int, seed: int, *, spread: float = 1.0, shares: tuple[int, ...] = (1, 1, 1)
) -> tuple[Features, Labels]:
    """Points around one centre a class, far from the origin and on a scale that is not 1."""
    centres = np.random.default_rng(99).normal(0, 1, (CLASSES, WIDTH))
    labels = np.repeat(np.arange(CLASSES), [count * share for share in shares])
    noise = np.random.default_rng(seed).normal(0, spread, (len(labels), WIDTH))
    return (50 + 20 * (centres[labels] + noise)).astype(np.float32), labels.astype(np.int64)


def accuracy(head: nn.Module, data: tuple[Features, Labels]) -> float:
    return float((predict(head, data[0]).argmax(axis=1) == data[1]).mean())


def loss(head: nn.Module, data: tuple[Features, Labels]) -> float:
    return float(
        functional.cross_entropy(torch.from_numpy(predict(head, data[0])), torch.from_numpy(data[1]))
    )


def bits(head: nn.Module) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in head.state_dict().values()]


@pytest.mark.parametrize("kind", ["linear", "two-layer"])
def test_a_head_learns_what_can_be_told_apart(kind: str) -> None:
    config = TrainConfig.from_dict({**CONFIG.to_dict(), "head": kind, "hidden": 32})
    trained = train_head(clouds(40, 1), clouds(20, 2), num_classes=CLASSES, config=config)
    assert accuracy(trained.module, clouds(100, 3)) > 0.9


@pytest.mark.parametrize("kind", ["linear", "two-layer"])
def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(kind: str) -> None:
    config = TrainConfig.from_dict({**CONFIG.to_dict(), "head": kind, "epochs": 5})
    first = train_head(clouds(40, 1), clouds(20, 2), num_classes=CLASSES, config=config)
    torch.rand(7)
    second = train_head(clouds(40, 1), clouds(20, 2), num_classes=CLASSES, config=config)
    other = train_head(
        clouds(40, 1), clouds(20, 2), num_classes=CLASSES, config=dataclasses.replace(config, seed=1)
    )
    assert bits(first.module) == bits(second.module)
    assert first.history == second.history
    assert bits(first.module) != bits(other.module)


def test_training_leaves_the_random_state_and_the_threads_of_the_process_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    train_head(
        clouds(10, 1), clouds(10, 2), num_classes=CLASSES, config=dataclasses.replace(CONFIG, epochs=2)
    )
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("kind", ["linear", "two-layer"])
def test_the_weights_kept_are_those_of_the_best_epoch_and_not_of_the_last(kind: str) -> None:
    settings = {"head": kind, "learning_rate": 0.05, "epochs": 60, "weight_decay": 0.0}
    valid = clouds(20, 2, spread=2.0)
    trained = train_head(
        clouds(15, 1, spread=2.0), valid, num_classes=CLASSES, config=TrainConfig.from_dict(settings)
    )
    losses = [row["valid_loss"] for row in trained.history]
    assert losses[trained.best_epoch - 1] == min(losses) < losses[-1]
    assert loss(trained.module, valid) == pytest.approx(min(losses), rel=1e-4)
    assert trained.history[trained.best_epoch - 1]["valid_accuracy"] == pytest.approx(
        accuracy(trained.module, valid)
    )


def test_training_stops_when_nothing_gets_better() -> None:
    config = TrainConfig(learning_rate=0.1, epochs=1000, patience=4, weight_decay=0.0)
    trained = train_head(
        clouds(15, 1, spread=3.0), clouds(20, 2, spread=3.0), num_classes=CLASSES, config=config
    )
    assert len(trained.history) == trained.best_epoch + 4
    assert [row["epoch"] for row in trained.history] == list(range(1, len(trained.history) + 1))


def test_without_a_weight_decay_the_one_that_validates_best_is_chosen() -> None:
    train, valid = clouds(15, 1, spread=2.0), clouds(30, 2, spread=2.0)
    heads = {
        decay: train_head(
            train, valid, num_classes=CLASSES, config=dataclasses.replace(CONFIG, weight_decay=decay)
        )
        for decay in WEIGHT_DECAYS
    }
    chosen = train_head(
        train, valid, num_classes=CLASSES, config=dataclasses.replace(CONFIG, weight_decay=None)
    )
    assert chosen.best_loss == min(head.best_loss for head in heads.values())
    assert bits(chosen.module) == bits(heads[chosen.weight_decay].module)


def test_a_feature_that_never_stirs_in_training_cannot_upset_a_prediction() -> None:
    train, valid, test = clouds(40, 1), clouds(20, 2), clouds(50, 3)
    for features, _ in (train, valid):
        features[:, 0] = 50 + 1e-5 * features[:, 1]
    trained = train_head(train, valid, num_classes=CLASSES, config=CONFIG)
    before = accuracy(trained.module, test)
    test[0][:, 0] += 20
    assert accuracy(trained.module, test) > before - 0.1


def test_a_linear_head_starts_from_what_the_backbone_knows() -> None:
    train, valid = clouds(5, 1, spread=2.0), clouds(20, 2, spread=2.0)
    known = train_head(clouds(2000, 7, spread=2.0), valid, num_classes=CLASSES, config=CONFIG).module
    assert isinstance(known, nn.Linear)
    # Five classes that the backbone was trained on, ours in another order and among others.
    order = [2, 0, 1]
    weight = torch.cat([torch.zeros(2, WIDTH), known.weight[order]])
    bias = torch.cat([torch.full((2,), -100.0), known.bias[order]])
    knowing = train_head(
        train, valid, num_classes=CLASSES, config=CONFIG, classifier=Classifier(weight, bias)
    )
    ignorant = train_head(train, valid, num_classes=CLASSES, config=CONFIG)
    test = clouds(500, 3, spread=2.0)
    assert loss(knowing.module, test) < loss(ignorant.module, test)
    assert loss(knowing.module, test) < 1.1 * loss(known, test)


def test_a_two_layer_head_learns_all_by_itself() -> None:
    config = TrainConfig.from_dict({**CONFIG.to_dict(), "head": "two-layer", "epochs": 3})
    classifier = Classifier(torch.randn(5, WIDTH), torch.zeros(5))
    with_it, without = (
        train_head(clouds(10, 1), clouds(10, 2), num_classes=CLASSES, config=config, classifier=each)
        for each in (classifier, None)
    )
    assert bits(with_it.module) == bits(without.module)


@pytest.mark.parametrize(
    ("counts", "balance", "weighted"),
    [
        ((10, 10, 10), "auto", False),
        ((10, 12, 14), "auto", False),
        ((10, 10, 30), "auto", True),
        ((10, 10, 30), "off", False),
        ((10, 10, 11), "on", True),
    ],
)
def test_classes_are_weighed_where_they_differ(counts: tuple[int, ...], balance: str, weighted: bool) -> None:
    labels = np.repeat(np.arange(3), counts)
    weights = class_weights(labels, 3, balance)
    assert (weights is not None) == weighted
    if weights is not None:
        assert np.mean(np.array(weights)[labels]) == pytest.approx(1)
        shares = [weight * count for weight, count in zip(weights, counts, strict=True)]
        assert shares == pytest.approx([shares[0]] * 3)


def test_weighing_helps_the_rare_class() -> None:
    train = clouds(6, 1, spread=2.5, shares=(1, 20, 20))
    valid = clouds(6, 2, spread=2.5, shares=(1, 20, 20))
    recall = {}
    for balance in ("on", "off"):
        config = TrainConfig.from_dict({**CONFIG.to_dict(), "class_balance": balance})
        head = train_head(train, valid, num_classes=CLASSES, config=config).module
        features, labels = clouds(300, 3, spread=2.5)
        recall[balance] = (predict(head, features).argmax(1) == labels)[labels == 0].mean()
    assert recall["on"] > recall["off"] + 0.1


def test_a_loss_that_is_no_number_is_an_error_with_the_learning_rate() -> None:
    train, valid = clouds(10, 1), clouds(10, 2)
    valid[0][:] = np.nan
    with pytest.raises(KennelError) as caught:
        train_head(train, valid, num_classes=CLASSES, config=CONFIG)
    assert caught.value.rule == "Training must bring a validation loss that is a number"
    assert caught.value.remedy == "use a lower learning rate"


@pytest.mark.parametrize("weight_decay", [None, 1.0])
def test_each_epoch_of_the_head_that_is_kept_is_told_once(weight_decay: float | None) -> None:
    told: list[dict[str, float]] = []
    config = TrainConfig.from_dict({**CONFIG.to_dict(), "weight_decay": weight_decay})
    head = train_head(clouds(10, 1), clouds(10, 2), num_classes=CLASSES, config=config, on_epoch=told.append)
    assert tuple(told) == head.history


def test_a_weight_decay_that_diverges_leaves_the_choice_to_the_others() -> None:
    config = TrainConfig(epochs=2, learning_rate=0.5, batch_size=1)
    train, valid = clouds(20, 1), clouds(20, 2)
    with pytest.raises(KennelError, match="a validation loss that is a number"):
        train_head(
            train,
            valid,
            num_classes=CLASSES,
            config=dataclasses.replace(config, weight_decay=WEIGHT_DECAYS[-1]),
        )
    assert train_head(train, valid, num_classes=CLASSES, config=config).weight_decay == WEIGHT_DECAYS[0]
