from __future__ import annotations

import copy
import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ml.config import TrainConfig
from ml.data import Dataset
from ml.errors import KennelError
from ml.fine_tune import FineTuned, fine_tune
from ml.fine_tune.blocks import learning_mode
from ml.fine_tune.schedule import factor
from ml.serving import images
from ml.serving.network import Network
from tests.ml.fine_tune import material

ROOT = Path(__file__).parents[3]


def tune(dataset: Dataset, config: TrainConfig | None = None, **arguments: Any) -> FineTuned:
    loaded = arguments.pop("backbone", None) or material.backbone()
    head = arguments.pop("head", None) or material.head(loaded.width)
    return fine_tune(dataset, loaded, head, config or material.config(), **{"progress": False, **arguments})


def tensors(dataset: Dataset, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    preprocessing = material.backbone().preprocessing
    samples = dataset.split(split)  # type: ignore[arg-type]
    pixels = [preprocessing.apply(images.decode(sample.path.read_bytes())) for sample in samples]
    return torch.from_numpy(np.stack(pixels)), torch.tensor([sample.label for sample in samples])


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_fine_tuning_learns_what_can_be_told_apart(precision: str, dataset: Dataset) -> None:
    tuned = tune(dataset, material.config(precision=precision, epochs=6, learning_rate=1e-2))
    assert [row["epoch"] for row in tuned.history] == [1, 2, 3, 4, 5, 6]
    assert tuned.history[-1]["train_loss"] < 0.5 * tuned.history[0]["train_loss"]
    assert tuned.history[-1]["valid_accuracy"] > 0.8


def test_the_statistics_of_norms_stay_to_the_bit_what_they_were(dataset: Dataset) -> None:
    loaded = material.backbone()
    before = material.statistics(Network(loaded.module, nn.Identity()))
    tuned = tune(dataset, backbone=loaded)
    assert before
    assert material.statistics(tuned.network) == before


def test_what_was_given_stays_as_it_was(dataset: Dataset) -> None:
    loaded = material.backbone()
    head = material.head(loaded.width)
    given = copy.deepcopy(loaded.module), copy.deepcopy(head)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    tuned = tune(dataset, backbone=loaded, head=head)
    assert torch.equal(torch.rand(2), expected)
    assert material.bits(loaded.module) == material.bits(given[0])
    assert material.bits(head) == material.bits(given[1])
    assert material.bits(tuned.network.backbone) != material.bits(given[0])


def test_the_result_is_ready_to_serve(dataset: Dataset) -> None:
    network = tune(dataset).network
    assert not any(layer.training for layer in network.modules())
    assert not any(each.requires_grad for each in network.parameters())
    assert {each.dtype for each in network.parameters()} == {torch.float32}
    assert all(each.is_contiguous() for each in network.state_dict().values())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_balance": "on", "label_smoothing": 0.1, "accumulate": 4},
        {"unfreeze": "last:2", "layer_decay": 0.5, "backbone_rate": 0.5, "warmup_epochs": 0.5},
    ],
)
def test_it_computes_what_a_plain_loop_computes(settings: dict[str, Any], dataset: Dataset) -> None:
    config = material.config(**settings)
    tuned = tune(dataset, config)
    weights = None if tuned.class_weights is None else torch.tensor(tuned.class_weights)
    assert (weights is None) == (config.class_balance == "off")

    loaded = material.backbone()
    network = Network(loaded.module, material.head(loaded.width))
    network.requires_grad_(False)
    frozen = (
        ()
        if config.unfreeze == "all"
        else ("backbone.conv1", "backbone.bn1", "backbone.layer1", "backbone.layer2")
    )
    groups = []
    for name, parameter in network.named_parameters():
        if not name.startswith(frozen):
            parameter.requires_grad_(True)
            stages = ("layer4", "layer3", "layer2", "layer1")
            distance = next((at for at, stage in enumerate(stages) if stage in name), 4)
            rate = config.learning_rate * config.backbone_rate * config.layer_decay**distance
            groups.append(
                {
                    "params": [parameter],
                    "rate": config.learning_rate if name.startswith("head") else rate,
                    "weight_decay": 0.05 if parameter.ndim > 1 else 0.0,
                }
            )
    optimizer = torch.optim.AdamW(groups, foreach=False, fused=False)
    x, y = tensors(dataset, "train")
    valid_x, valid_y = tensors(dataset, "valid")
    step, steps = 0, -(-len(x) // config.batch_size)
    for row in tuned.history:
        learning_mode(network)
        order = np.random.default_rng([config.seed, int(row["epoch"])]).permutation(len(x))
        for start in range(0, len(x), config.batch_size):
            rows = order[start : start + config.batch_size]
            scale = factor(step, warmup=round(config.warmup_epochs * steps), total=3 * steps)
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * scale
            optimizer.zero_grad()
            loss = functional.cross_entropy(
                network(x[rows]), y[rows], weight=weights, label_smoothing=config.label_smoothing
            )
            loss.backward()
            optimizer.step()
            step += 1
        network.eval()
        with torch.no_grad():
            valid_loss = functional.cross_entropy(network(valid_x), valid_y, weight=weights)
        assert row["valid_loss"] == pytest.approx(float(valid_loss), abs=1e-4)
    best = dict(tuned.network.named_parameters())
    assert tuned.best_epoch == 3
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter, best[name], atol=1e-4), name


def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(dataset: Dataset) -> None:
    config = material.config(augment="light")
    first = tune(dataset, config)
    torch.rand(7)
    second = tune(dataset, config)
    other = tune(dataset, material.config(augment="light", seed=1))
    assert material.bits(first.network) == material.bits(second.network)
    assert first.history == second.history
    assert material.bits(first.network) != material.bits(other.network)


@pytest.fixture
def contrary(dataset: Dataset) -> Dataset:
    """Whose validation gets the worse the more is learned."""
    valid = [dataclasses.replace(sample, label=(sample.label + 1) % 3) for sample in dataset.valid]
    return Dataset.build(dataset.classes, {"train": dataset.train, "valid": valid, "test": dataset.test})


def test_the_weights_kept_are_those_of_the_best_epoch(contrary: Dataset) -> None:
    tuned = tune(contrary, material.config(epochs=6, learning_rate=0.01))
    losses = [row["valid_loss"] for row in tuned.history]
    assert losses[tuned.best_epoch - 1] == min(losses) < losses[-1]
    x, y = tensors(contrary, "valid")
    with torch.no_grad():
        logits = tuned.network(x)
    assert float(functional.cross_entropy(logits, y)) == pytest.approx(min(losses), rel=1e-4)
    hits = float((logits.argmax(1) == y).float().mean())
    assert hits == pytest.approx(tuned.history[tuned.best_epoch - 1]["valid_accuracy"])


def test_it_stops_when_nothing_gets_better(contrary: Dataset) -> None:
    tuned = tune(contrary, material.config(epochs=30, learning_rate=0.01, patience=2))
    assert len(tuned.history) == tuned.best_epoch + 2


def test_an_average_of_the_weights_is_what_is_measured_and_kept(dataset: Dataset) -> None:
    plain = tune(dataset, material.config(epochs=1))
    averaged = tune(dataset, material.config(epochs=1, ema=0.999))
    assert averaged.history[0]["train_loss"] == plain.history[0]["train_loss"]
    start = material.backbone().module.state_dict()["layer4.0.conv1.weight"]
    moved = [
        float((each.network.backbone.state_dict()["layer4.0.conv1.weight"] - start).norm())
        for each in (plain, averaged)
    ]
    assert 0 < moved[1] < 0.5 * moved[0]


def test_a_loss_that_is_no_number_is_an_error_with_the_learning_rate(dataset: Dataset) -> None:
    loaded = material.backbone()
    head = material.head(loaded.width)
    with torch.no_grad():
        head.bias.fill_(np.nan)
    with pytest.raises(KennelError) as caught:
        tune(dataset, backbone=loaded, head=head)
    assert caught.value.rule == "Training must bring a validation loss that is a number"
    assert caught.value.received == "nan at learning_rate=0.003"


class Interrupted(Exception):
    pass


def interrupt(after: int) -> Any:
    def on_epoch(row: dict[str, float]) -> None:
        if row["epoch"] == after:
            raise Interrupted

    return on_epoch


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"ema": 0.9, "unfreeze": "last:1", "augment": "strong"}])
def test_a_resumed_run_gives_the_bits_of_an_uninterrupted_one(
    after: int, settings: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    config = material.config(**settings)
    whole = tune(dataset, config)
    with pytest.raises(Interrupted):
        tune(dataset, config, checkpoints=tmp_path, on_epoch=interrupt(after))
    told: list[float] = []
    resumed = tune(
        dataset, config, checkpoints=tmp_path, resume=True, on_epoch=lambda row: told.append(row["epoch"])
    )
    assert material.bits(resumed.network) == material.bits(whole.network)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert told == [1, 2, 3]


def test_dropout_is_drawn_alike_after_a_resumption(dataset: Dataset, tmp_path: Path) -> None:
    def head() -> nn.Module:
        loaded = material.backbone()
        return nn.Sequential(nn.Dropout(0.5), material.head(loaded.width))

    whole = tune(dataset, head=head())
    with pytest.raises(Interrupted):
        tune(dataset, head=head(), checkpoints=tmp_path, on_epoch=interrupt(1))
    resumed = tune(dataset, head=head(), checkpoints=tmp_path, resume=True)
    assert material.bits(resumed.network) == material.bits(whole.network)
    assert material.bits(whole.network) != material.bits(tune(dataset).network)


def test_a_run_that_is_done_computes_nothing_when_resumed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = tune(dataset, checkpoints=tmp_path)
    monkeypatch.setattr("ml.fine_tune.trainer._Trainer.epoch", None)
    again = tune(dataset, checkpoints=tmp_path, resume=True)
    assert material.bits(again.network) == material.bits(done.network)


def test_without_resume_a_run_starts_afresh(dataset: Dataset, tmp_path: Path) -> None:
    tune(dataset, material.config(epochs=2, seed=5), checkpoints=tmp_path)
    tuned = tune(dataset, material.config(epochs=1), checkpoints=tmp_path)
    assert len(tuned.history) == 1


def test_checkpoints_of_another_run_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    tune(dataset, checkpoints=tmp_path)
    with pytest.raises(KennelError) as caught:
        tune(dataset, material.config(learning_rate=0.1), checkpoints=tmp_path, resume=True)
    assert "learning_rate=0.003 there, 0.1 here" in str(caught.value.received)
    other = Dataset.build(
        dataset.classes, {"train": dataset.train, "valid": dataset.valid[:-1], "test": dataset.test}
    )
    with pytest.raises(KennelError, match="data="):
        tune(other, checkpoints=tmp_path, resume=True)


@pytest.mark.long
def test_a_killed_process_loses_no_more_than_the_epoch_it_was_in(photos: Path, tmp_path: Path) -> None:
    spec = {
        "photos": str(photos),
        "checkpoints": str(tmp_path / "checkpoints"),
        "result": str(tmp_path / "result.json"),
        "settings": [{"epochs": 3}],
    }
    program = [sys.executable, "-W", "error", "-m", "tests.ml.fine_tune.program", str(tmp_path / "spec.json")]
    results = []
    for extra in ({"kill": {"epoch": 3, "rank": 0, "batch": 2}}, {"resume": True}):
        (tmp_path / "spec.json").write_text(json.dumps({**spec, **extra}))
        results.append(subprocess.run(program, cwd=ROOT, timeout=120, capture_output=True, text=True))
    assert results[0].returncode == -signal.SIGKILL
    assert results[1].stderr == ""
    assert results[1].returncode == 0
    (resumed,) = json.loads((tmp_path / "result.json").read_text())
    assert resumed["bits"] == material.bits(tune(material.read_photos(photos)).network)


def test_bf16_is_chosen_where_it_is_faster(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.fine_tune.trainer.resolve_precision", lambda *_, **__: "bf16")
    losses = {
        (name, precision): tune(
            dataset, material.config(precision=precision, epochs=1), backbone=material.backbone(name)
        ).history[0]["train_loss"]
        for name in ("timm/test_resnet", "timm/test_efficientnet")
        for precision in ("auto", "bf16")
    }
    assert losses["timm/test_resnet", "auto"] == losses["timm/test_resnet", "bf16"]
    assert losses["timm/test_efficientnet", "auto"] != losses["timm/test_efficientnet", "bf16"]
